"""Who issued whom over a set of certificates: by name, key identifier and signature, whatever the clock says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.vocabulary import HashAlgorithm

MAX_CHECKS = 100
"""Signatures verified for one lineage (webpki allows as many for a path). Real ones need a few."""

T = TypeVar("T")
Group = tuple[Certificate, ...]
Issuers = dict[Certificate, Certificate | None]
Issued = dict[Certificate, Group]


def _subject(certificate: Certificate) -> object:
    return certificate.subject_key


def _issuer(certificate: Certificate) -> object:
    return certificate.issuer_key


def _serial(certificate: Certificate) -> object:
    return certificate.serial


_INDEXES = {"_by_subject": _subject, "_by_issuer": _issuer, "_by_serial": _serial}
"""The indexes of a forest, each made when it is first needed, and what they are by."""


class Forest:
    """A set of certificates, arranged. Built cheaply; each relation is worked out when it is first asked for."""

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        """Arrange these certificates; copies of one count once."""
        self._members = dict.fromkeys(certificates)
        self._issuers: Issuers = {}
        self._issued: Issued = {}

    def __contains__(self, certificate: object) -> bool:
        return certificate in self._members

    @cached_property
    def certificates(self) -> Group:
        """The certificates, each once, in the order given."""
        return tuple(self._members)

    @cached_property
    def _by_subject(self) -> dict[object, Group]:
        return _grouped(self._members, _subject)

    @cached_property
    def _by_issuer(self) -> dict[object, Group]:
        return _grouped(self._members, _issuer)

    @cached_property
    def _by_serial(self) -> dict[object, Group]:
        return _grouped(self._members, _serial)

    def changed(self, added: Iterable[Certificate], removed: Iterable[Certificate]) -> Forest:
        """The forest without some certificates and with others, which come last; what is known already stays known.

        The same as a new one of those that stay and those that come, at the price of what changes.
        """
        gone = [one for one in dict.fromkeys(removed) if one in self._members]
        leaving = frozenset(gone)
        come = [one for one in dict.fromkeys(added) if one not in self._members or one in leaving]
        other = Forest(())
        other._members = _without(self._members, gone) | dict.fromkeys(come)
        for index, token in _INDEXES.items():
            if index in vars(self):
                vars(other)[index] = _regrouped(vars(self)[index], token, come, gone)
        if self._issuers:
            other._issuers = other._issuers_kept(_without(self._issuers, gone), come, gone)
        if self._issued:
            other._issued = other._issued_kept(_without(self._issued, gone), come, gone)
        return other

    def _issuers_kept(self, known: Issuers, come: Sequence[Certificate], gone: Sequence[Certificate]) -> Issuers:
        """The issuers known before, but for those that went, and for the lack of one where one of that name came."""
        leaving = {one.der for one in gone}
        for name in {one.subject_key for one in (*come, *gone)}:
            for child in self._by_issuer.get(name, ()):
                issuer = known.get(child, child)
                if issuer is None or issuer.der in leaving:
                    known.pop(child, None)
        return known

    def _issued_kept(self, known: Issued, come: Sequence[Certificate], gone: Sequence[Certificate]) -> Issued:
        """What was known to be issued by whom, without those that went and with those that came."""
        leaving, new = {one.der for one in gone}, _grouped(come, _issuer)
        for name in {one.issuer_key for one in (*come, *gone)}:
            for issuer in self._by_subject.get(name, ()):
                if issuer in known:
                    stayed = (one for one in known[issuer] if one.der not in leaving)
                    known[issuer] = (*stayed, *(one for one in new.get(name, ()) if _issued_it(issuer, one)))
        return known

    def possible_issuers(self, certificate: Certificate) -> list[Certificate]:
        """Those whose name and key identifier fit; their signatures are not looked at."""
        return [c for c in self.named_as_issuer(certificate) if _fits(certificate, c)]

    def named_as_issuer(self, certificate: Certificate) -> Group:
        """Those that bear the name of its issuer."""
        return self._by_subject.get(certificate.issuer_key, ())

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
        if issuer not in self._issued:
            named = self._by_issuer.get(issuer.subject_key, ())
            self._issued[issuer] = tuple(one for one in named if _issued_it(issuer, one))
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


def _issued_it(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether the key of `issuer` signed another certificate that names it."""
    return (
        certificate != issuer
        and not certificate.self_signed
        and _fits(certificate, issuer)
        and certificate.signed_by(issuer)
    )


def _fits(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the key identifiers of a certificate and one of its issuer's name allow that this issued it."""
    authority = certificate.authority_key_id
    return authority is None or issuer.subject_key_id in (None, authority)


def _grouped(certificates: Iterable[Certificate], token: Callable[[Certificate], object]) -> dict[object, Group]:
    groups: dict[object, list[Certificate]] = {}
    for certificate in certificates:
        groups.setdefault(token(certificate), []).append(certificate)
    return {key: tuple(group) for key, group in groups.items()}


def _regrouped(
    groups: dict[object, Group],
    token: Callable[[Certificate], object],
    come: list[Certificate],
    gone: list[Certificate],
) -> dict[object, Group]:
    """A copy in which the groups that do not change are the same objects."""
    changed = groups.copy()
    leaving = frozenset(one.der for one in gone)
    for key in {token(one) for one in gone}:
        left = tuple(one for one in changed.pop(key) if one.der not in leaving)
        if left:
            changed[key] = left
    for key, group in _grouped(come, token).items():
        changed[key] = (*changed.get(key, ()), *group)
    return changed


def _without(kept: Mapping[Certificate, T], gone: Iterable[Certificate]) -> dict[Certificate, T]:
    copy = dict(kept)
    for one in gone:
        copy.pop(one, None)
    return copy
