"""Signing requests: a new key of the station, and what a CA is asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evse_security.clock import Moment
from evse_security.core import Core
from evse_security.errors import KeyNotGenerated, NoRequestForType
from evse_security.keys import files as key_files
from evse_security.keys.kinds import KeyType
from evse_security.pki import request
from evse_security.pki.profile import EDITION_OF_KEY_TYPE, Edition, ProfileName
from evse_security.pki.request import RequestSubject
from evse_security.store.changes import SECRET_MODE, Decision, Write
from evse_security.store.deeds import Deed
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.limits import with_room
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import LeafCertificateType


def signing_request(
    core: Core,
    certificate_types: Sequence[LeafCertificateType],
    subject: RequestSubject,
    *,
    use_tpm: bool = False,
    key_type: KeyType | None = None,
) -> str:
    """Make a key and a signing request (PEM) for one leaf that is of all these types. Raises the refusal.

    `key_type`: None for the configured one. The key is on the disk before the request is handed out.
    """
    with core.deed("generate_certificate_signing_request", ", ".join(certificate_types)) as deed:
        for one in certificate_types:
            if one not in LEAF_KINDS:
                raise NoRequestForType(one)
        if use_tpm:
            raise KeyNotGenerated("no TPM is configured, and a key in a file would not be what was asked for")
        return _made(core, certificate_types, subject, key_type, deed)


def _made(
    core: Core,
    certificate_types: Sequence[LeafCertificateType],
    subject: RequestSubject,
    key_type: KeyType | None,
    deed: Deed,
) -> str:
    config = core.config
    if LeafCertificateType.V2G in certificate_types:
        subject = replace(subject, domain_component=_domain_component(core, key_type))
    key = key_files.generate(key_type or KeyType(config.csr_key_type))
    csr = request.signing_request(subject, key, dns_names=config.csr_dns_names, ip_addresses=config.csr_ip_addresses)
    content = key_files.to_pem(key, config.private_key_password)

    def decide(snapshot: Snapshot, moment: Moment) -> Decision:
        name = f"{core.token(moment)}.key"
        paths = [
            snapshot.leaves[one].key_directory / f"{LEAF_KINDS[one].single_prefix}{name}" for one in certificate_types
        ]
        writes = tuple(Write(path, content, SECRET_MODE) for path in paths)
        return with_room(Decision(writes), snapshot, core.limits, moment)

    core.change(decide, deed)
    return csr


def _domain_component(core: Core, key_type: KeyType | None) -> str:
    """What an SECC leaf has: with ISO 15118-20 keys DC=CSO, if they or the profile are asked for, else DC=CPO."""
    is_asked_for = key_type is not None or core.profile is ProfileName.ISO15118
    edition = EDITION_OF_KEY_TYPE.get(key_type or core.config.csr_key_type) if is_asked_for else None
    return "CSO" if edition is Edition.ISO15118_20 else "CPO"
