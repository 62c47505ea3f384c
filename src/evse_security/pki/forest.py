"""Who issued whom over a set of certificates: by name, key identifier and signature, whatever the clock says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.vocabulary import HashAlgorithm


class Forest:
    """A set of certificates, arranged. Built cheaply; each relation is worked out when it is first asked for."""

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        """Arrange these certificates; copies of one count once."""
        self.certificates = tuple(dict.fromkeys(certificates))
        self._by_subject: dict[object, list[Certificate]] = defaultdict(list)
        self._by_serial: dict[int, list[Certificate]] = defaultdict(list)
        for certificate in self.certificates:
            self._by_subject[certificate.subject_key].append(certificate)
            self._by_serial[certificate.serial].append(certificate)
        self._issued: dict[object, list[Certificate]] | None = None

    def possible_issuers(self, certificate: Certificate) -> list[Certificate]:
        """Those whose name and key identifier fit; their signatures are not looked at."""
        authority = certificate.authority_key_id
        return [
            candidate
            for candidate in self._by_subject.get(certificate.issuer_key, ())
            if authority is None or candidate.subject_key_id in (None, authority)
        ]

    def issuer_of(self, certificate: Certificate) -> Certificate | None:
        """The certificate whose key signed this one; a self-signed one is its own. Of several with one key, any."""
        if certificate.self_signed:
            return certificate
        return next((c for c in self.possible_issuers(certificate) if certificate.signed_by(c)), None)

    def issued_by(self, issuer: Certificate) -> list[Certificate]:
        """The certificates that the key of `issuer` signed, itself excepted."""
        if self._issued is None:
            self._issued = defaultdict(list)
            for certificate in self.certificates:
                self._issued[certificate.issuer_key].append(certificate)
        return [
            certificate
            for certificate in self._issued.get(issuer.subject_key, ())
            if certificate != issuer
            and not certificate.self_signed
            and issuer in self.possible_issuers(certificate)
            and certificate.signed_by(issuer)
        ]

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
    """The issuers upwards as far as they are known, a self-signed root last. Earlier forests are asked first."""
    found: list[Certificate] = []
    current = certificate
    while not current.self_signed:
        issuer = next((i for i in (forest.issuer_of(current) for forest in forests) if i is not None), None)
        if issuer is None or issuer in found or issuer == certificate:
            break
        found.append(issuer)
        current = issuer
    return found
