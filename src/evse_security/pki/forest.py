"""Who issued whom over a set of certificates: by name, key identifier and signature, whatever the clock says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.vocabulary import HashAlgorithm

MAX_CHECKS = 100
"""Signatures verified for one lineage (webpki allows as many for a path). Real ones need a few."""


class Forest:
    """A set of certificates, arranged. Built cheaply; each relation is worked out when it is first asked for."""

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        """Arrange these certificates; copies of one count once."""
        self.certificates = tuple(dict.fromkeys(certificates))
        self._members = frozenset(self.certificates)
        self._by_subject: dict[object, list[Certificate]] = defaultdict(list)
        self._by_serial: dict[int, list[Certificate]] = defaultdict(list)
        for certificate in self.certificates:
            self._by_subject[certificate.subject_key].append(certificate)
            self._by_serial[certificate.serial].append(certificate)
        self._by_issuer: dict[object, list[Certificate]] | None = None
        self._issuers: dict[Certificate, Certificate | None] = {}
        self._issued: dict[Certificate, list[Certificate]] = {}

    def possible_issuers(self, certificate: Certificate) -> list[Certificate]:
        """Those whose name and key identifier fit; their signatures are not looked at."""
        return [c for c in self._by_subject.get(certificate.issuer_key, ()) if _fits(certificate, c)]

    def issuer_of(self, certificate: Certificate) -> Certificate | None:
        """The certificate whose key signed this one; a self-signed one is its own. Of several with one key, any.

        Asked about what is installed only: nothing bounds the signatures that are verified for it.
        """
        if certificate in self._issuers:
            return self._issuers[certificate]
        if certificate.self_signed:
            issuer: Certificate | None = certificate
        else:
            issuer = next((c for c in self.possible_issuers(certificate) if certificate.signed_by(c)), None)
        if certificate in self._members:
            self._issuers[certificate] = issuer
        return issuer

    def issued_by(self, issuer: Certificate) -> list[Certificate]:
        """The certificates that the key of `issuer`, one of this set, signed; itself excepted."""
        if issuer not in self._members:
            return []
        if self._by_issuer is None:
            by_issuer = defaultdict(list)
            for certificate in self.certificates:
                by_issuer[certificate.issuer_key].append(certificate)
            self._by_issuer = by_issuer
        if issuer not in self._issued:
            self._issued[issuer] = [
                certificate
                for certificate in self._by_issuer.get(issuer.subject_key, ())
                if certificate != issuer
                and not certificate.self_signed
                and _fits(certificate, issuer)
                and certificate.signed_by(issuer)
            ]
        return list(self._issued[issuer])

    def descendants(self, certificate: Certificate) -> list[Certificate]:
        """All that was issued below a certificate, depth first, parents before children, each once."""
        found: dict[Certificate, None] = {}
        waiting = self.issued_by(certificate)[::-1]
        while waiting:
            current = waiting.pop()
            if current not in found and current != certificate:
                found[current] = None
                waiting.extend(self.issued_by(current)[::-1])
        return list(found)

    def id_of(self, certificate: Certificate, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> CertID | None:
        """The identity of a certificate; None where its issuer is not known.

        A self-issued certificate whose signature nobody confirms is named by its own key: it must be deletable.
        """
        issuer = self.issuer_of(certificate)
        if issuer is None and certificate.self_issued:
            issuer = certificate
        return None if issuer is None else certificate_id(certificate, issuer, algorithm)

    def identified(self, wanted: CertID) -> list[Certificate]:
        """The certificates with this identity; several only where a CA gave one serial number twice."""
        return [c for c in self._by_serial.get(wanted.serial, ()) if self.id_of(c, wanted.algorithm) == wanted]


def lineage(certificate: Certificate, *forests: Forest) -> list[Certificate]:
    """The issuers upwards as far as they are known, a self-signed root last. Earlier forests are asked first.

    Whoever sent the certificates, at most 100 signatures of issuers are verified: what lies beyond is not known.
    """
    found: list[Certificate] = []
    current = certificate
    left = MAX_CHECKS
    while not current.self_signed:
        for candidate in (one for forest in forests for one in forest.possible_issuers(current)):
            left -= 1
            if left < 0 or current.signed_by(candidate):
                break
        else:
            break
        if left < 0 or candidate in found or candidate == certificate:
            break
        found.append(candidate)
        current = candidate
    return found


def _fits(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the key identifiers of a certificate and one of its issuer's name allow that this issued it."""
    authority = certificate.authority_key_id
    return authority is None or issuer.subject_key_id in (None, authority)
