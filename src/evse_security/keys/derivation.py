"""How much work an encrypted key asks for before it can be opened. Its writer chose that, and may be anybody."""

from __future__ import annotations

from math import prod

from evse_security.pki import der

MAX_ROUNDS = 1 << 20
"""Most rounds that are computed: half a second on a PC, ten times what is written here."""


def rounds(encoded: bytes) -> int:
    """Rounds of the key derivation of an EncryptedPrivateKeyInfo (RFC 5958 §3); 0 for what is none.

    Of PBKDF2 and PBES1 their iteration count (RFC 8018 Appendix A), of scrypt N·r·p (RFC 7914 §7): the numbers that
    stand in one SEQUENCE after the salt. Raises `der.Malformed`.
    """
    algorithm = next(der.expect(der.read(encoded), der.SEQUENCE, "private key").children(), None)
    if algorithm is None or algorithm.tag != der.SEQUENCE:
        return 0
    identifier = next(algorithm.children(), None)
    return 0 if identifier is None or identifier.tag != der.OID else _largest(algorithm, der.MAX_DEPTH)


def _largest(parameters: der.Tlv, depth: int) -> int:
    if not depth:
        raise der.Malformed("parameters of an encryption are nested too deep")
    children = list(parameters.children())
    numbers = [abs(der.integer(child)) for child in children if child.tag == der.INTEGER]
    own = prod(numbers[:3]) if len(numbers) >= 3 else max(numbers, default=0)
    return max(own, *(_largest(child, depth - 1) for child in children if child.tag == der.SEQUENCE), 0)
