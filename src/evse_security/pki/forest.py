"""Who issued whom over a set of certificates: by name, key identifier and signature, whatever the clock says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Literal

from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.tables import Notes, Table
from evse_security.vocabulary import HashAlgorithm

MAX_CHECKS = 100
"""Signatures verified for one lineage (webpki allows as many for a path). Real ones need a few."""
_FEW = 32
"""Certificates that are kept as a tuple, which a change copies. What a sub-CA issued may be thousands."""

Group = tuple[Certificate, ...] | Table[Certificate, Literal[True]]
"""Some certificates, in order."""
Index = Table[object, Certificate | Group]
"""Certificates by something that most have for themselves."""
Issuers = Table[Certificate, Certificate | Literal[False]]
"""Issuers as far as they were looked for; False where there is none."""


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
        self._members: Table[Certificate, Literal[True]] = Table(dict.fromkeys(certificates, True))
        self._issuers: Notes[Certificate, Certificate | Literal[False]] = Notes()
        self._issued: Notes[Certificate, Group] = Notes()

    def __contains__(self, certificate: object) -> bool:
        return isinstance(certificate, Certificate) and certificate in self._members

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """The certificates, each once, in the order given."""
        return tuple(self._members)

    @cached_property
    def _by_subject(self) -> Index:
        return _index(self._members, _subject)

    @cached_property
    def _by_issuer(self) -> Index:
        return _index(self._members, _issuer)

    @cached_property
    def _by_serial(self) -> Index:
        return _index(self._members, _serial)

    def changed(self, added: Iterable[Certificate], removed: Iterable[Certificate]) -> Forest:
        """The forest without some certificates and with others, which come last; what is known already stays known.

        The same as a new one of those that stay and those that come, at the price of what changes.
        """
        gone = [one for one in dict.fromkeys(removed) if one in self._members]
        leaving = frozenset(gone)
        come = [one for one in dict.fromkeys(added) if one not in self._members or one in leaving]
        other = Forest(())
        other._members = self._members.changed(_moves(come, gone))
        for index, token in _INDEXES.items():
            if index in vars(self):
                vars(other)[index] = _indexed_anew(vars(self)[index], token, come, gone)
        if self._issuers:
            other._issuers = Notes(other._issuers_kept(self._issuers.settled(), come, gone))
        if self._issued:
            other._issued = Notes(other._issued_kept(self._issued.settled(), come, gone))
        return other

    def _issuers_kept(self, known: Issuers, come: Sequence[Certificate], gone: Sequence[Certificate]) -> Issuers:
        """The issuers known before, but for those that went, and for the lack of one where one of that name came."""
        leaving = {one.der for one in gone}
        forgotten = list(gone)
        for name in {one.subject_key for one in (*come, *gone)}:
            for child in _found(self._by_issuer, name):
                issuer = known.get(child)
                if issuer is not None and (issuer is False or issuer.der in leaving):
                    forgotten.append(child)
        return known.changed(dict.fromkeys(forgotten))

    def _issued_kept(
        self, known: Table[Certificate, Group], come: Sequence[Certificate], gone: Sequence[Certificate]
    ) -> Table[Certificate, Group]:
        """What was known to be issued by whom, without those that went and with those that came."""
        new, old = _grouped(come, _issuer), _grouped(gone, _issuer)
        changes: dict[Certificate, Group | None] = dict.fromkeys(gone)
        for name in {*new, *old}:
            for issuer in _found(self._by_subject, name):
                before = known.get(issuer) if issuer not in changes else None
                if before is not None:
                    came = [one for one in new.get(name, ()) if _issued_it(issuer, one)]
                    changes[issuer] = _changed(before, came, old.get(name, ()))
        return known.changed(changes)

    def possible_issuers(self, certificate: Certificate) -> list[Certificate]:
        """Those whose name and key identifier fit; their signatures are not looked at."""
        return [c for c in self.named_as_issuer(certificate) if _fits(certificate, c)]

    def named_as_issuer(self, certificate: Certificate) -> Iterable[Certificate]:
        """Those that bear the name of its issuer."""
        return _found(self._by_subject, certificate.issuer_key)

    def issuer_of(self, certificate: Certificate) -> Certificate | None:
        """The certificate whose key signed this one; a self-signed one is its own. Of several with one key, any.

        Asked about what is installed only: nothing bounds the signatures that are verified for it.
        """
        known = self._issuers.get(certificate)
        if known is not None:
            return known or None
        if certificate.self_signed:
            issuer: Certificate | None = certificate
        else:
            issuer = next((c for c in self.possible_issuers(certificate) if certificate.signed_by(c)), None)
        if certificate in self._members:
            self._issuers.add(certificate, issuer or False)
        return issuer

    def issued_by(self, issuer: Certificate) -> list[Certificate]:
        """The certificates that the key of `issuer`, one of this set, signed; itself excepted."""
        if issuer not in self._members:
            return []
        issued = self._issued.get(issuer)
        if issued is None:
            issued = _group([one for one in _found(self._by_issuer, issuer.subject_key) if _issued_it(issuer, one)])
            self._issued.add(issuer, issued)
        return list(issued)

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
        return [c for c in _found(self._by_serial, wanted.serial) if self.id_of(c, wanted.algorithm) == wanted]


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


def _grouped(
    certificates: Iterable[Certificate], token: Callable[[Certificate], object]
) -> dict[object, list[Certificate]]:
    groups: dict[object, list[Certificate]] = {}
    for certificate in certificates:
        groups.setdefault(token(certificate), []).append(certificate)
    return groups


def _index(certificates: Iterable[Certificate], token: Callable[[Certificate], object]) -> Index:
    return Table({key: _one_or_more(group) for key, group in _grouped(certificates, token).items()})


def _indexed_anew(
    index: Index, token: Callable[[Certificate], object], come: Sequence[Certificate], gone: Sequence[Certificate]
) -> Index:
    """The index after some certificates came and others went."""
    new, old = _grouped(come, token), _grouped(gone, token)
    changes: dict[object, Certificate | Group | None] = {}
    for key in {*new, *old}:
        group = _changed(_all(index.get(key)), new.get(key, ()), old.get(key, ()))
        changes[key] = _one_or_more(group) if group else None
    return index.changed(changes)


def _found(index: Index, key: object) -> Group:
    """The certificates that an index has under a key."""
    return _all(index.get(key))


def _all(found: Certificate | Group | None) -> Group:
    if isinstance(found, Certificate):
        return (found,)
    return () if found is None else found


def _one_or_more(members: Group | list[Certificate]) -> Certificate | Group:
    """How an index keeps certificates: most are alone, and thousands must not be copied for one more."""
    return next(iter(members)) if len(members) == 1 else _group(members)


def _group(members: Group | list[Certificate]) -> Group:
    if isinstance(members, Table):
        return members
    return tuple(members) if len(members) <= _FEW else Table(dict.fromkeys(members, True))


def _changed(group: Group, come: Collection[Certificate], gone: Collection[Certificate]) -> Group:
    """A group without some certificates and with others, which come last."""
    if isinstance(group, Table):
        return group.changed(_moves(come, gone))
    return _group((*(one for one in group if one not in gone), *come))


def _moves(come: Iterable[Certificate], gone: Iterable[Certificate]) -> dict[Certificate, Literal[True] | None]:
    """The changes of a table in which some go and others come last, or go there."""
    coming: dict[Certificate, Literal[True] | None] = dict.fromkeys(come, True)
    return {one: None for one in gone if one not in coming} | coming
