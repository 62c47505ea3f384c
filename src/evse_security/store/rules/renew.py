"""Installing a signed leaf: its sub-CAs go with it, its key must be there, and nothing is live before it is on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evse_security.errors import KeyNotFound
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.path import VerifiedChain
from evse_security.store.changes import Decision, Write
from evse_security.store.info import copies_in_der
from evse_security.store.layout import is_generated
from evse_security.store.snapshot import CertificateFile, KeyFile, Leaf, LeafStore
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation


def renew(
    store: LeafStore, chain: VerifiedChain, token: str, key_in_der: Callable[[KeyFile], bytes | None] = lambda _: None
) -> Decision:
    """Decide where a verified chain goes. What is installed already is not written again.

    The chain file comes first: from then on the leaf is offered with its sub-CAs, as a TLS server needs it. Raises
    `KeyNotFound`. `key_in_der` encodes the key for the copies in DER; without it there are none.
    """
    key = store.key_of(chain.leaf)
    if key is None:
        raise KeyNotFound(chain.leaf.name, str(store.key_directory))
    installed = store.leaf_of(chain.leaf)
    old_chain, old_single = (installed.chain, installed.single) if installed is not None else (None, None)
    chains: list[Write] = []
    if len(chain.sent) > 1:
        path = _place(store, installed, old_chain, store.kind.chain_prefix, token)
        chains = _write(path, old_chain, chain.sent)
    path = _place(store, installed, old_single, store.kind.single_prefix, token)
    singles = _write(path, old_single, chain.sent[:1])
    writes = (*chains, *singles)
    update = CertificateStoreUpdate(
        operation=CertificateStoreUpdateOperation.Installed, leaf_certificate_type=store.kind.leaf_type
    )
    concerned = (certificate_id(chain.leaf, (chain.path[1:] or chain.path)[0]),)
    encoded = key_in_der(key) if writes else None
    copies = () if encoded is None else copies_in_der((key.path, encoded), _path(singles), _path(chains), chain.sent)
    return Decision(writes, (update,) if writes else (), copies, concerned=concerned)


def _place(store: LeafStore, leaf: Leaf | None, file: CertificateFile | None, prefix: str, token: str) -> Path:
    """The file that is there already, if it is ours and holds nothing else; else one under the token of the other."""
    if file is not None and _is_replaceable(file):
        return file.path
    for other in leaf.copies if leaf is not None else ():
        for known in (store.kind.chain_prefix, store.kind.single_prefix):
            if other.path.name.startswith(known) and other.path.suffix == ".pem":
                beside = store.directory / f"{prefix}{other.path.name.removeprefix(known)}"
                if store.file_at(str(beside)) is None:  # never another's
                    return beside
    return store.directory / f"{prefix}{token}.pem"


def _is_replaceable(file: CertificateFile) -> bool:
    """Whether nothing of anybody is lost with a file: those placed by hand may hold keys and comments."""
    only_certificates = not file.holds_more and all(block.certificate is not None for block in file.blocks)
    return is_generated(file.path.name) and only_certificates


def _write(path: Path, file: CertificateFile | None, certificates: tuple[Certificate, ...]) -> list[Write]:
    if file is not None and file.certificates == certificates:
        return []
    return [Write(path, "".join(certificate.pem for certificate in certificates).encode())]


def _path(writes: list[Write]) -> Path | None:
    return writes[0].path if writes else None
