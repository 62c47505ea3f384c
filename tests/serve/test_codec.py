"""JSON <-> vocabulary: what is right comes back unchanged, what is wrong is refused with the path of the field."""

import json
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security import vocabulary
from evse_security.errors import MalformedRequest
from evse_security.interface import EVERYTHING, r2023_10
from evse_security.serve.codec import MAX_ARRAY, MAX_STRING, SHOWN, decode, decoder, encode, encoder, shown
from evse_security.serve.command import commands
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateInfo,
    CertificateType,
    GetInstalledCertificatesResult,
    GetKeyPairResult,
    GetKeyPairStatus,
    HashAlgorithm,
    InstallCertificateResult,
    KeyPair,
    OCSPRequestData,
)
from tests.serve.values import of_type

RECORDS = [each for each in vars(vocabulary).values() if is_dataclass(each) and each is not vocabulary.MaxLength]
RESULTS = list(dict.fromkeys(command.result for revision in EVERYTHING for command in commands(revision).values()))

HASH_DATA = {
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa" * 32,
    "issuer_key_hash": "bb" * 32,
    "serial_number": "1234",
}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_record_survives_the_wire(record: Any) -> None:
    @given(of_type(record))
    def survives(value: object) -> None:
        on_the_wire = encode(record, value)
        assert json.loads(json.dumps(on_the_wire)) == on_the_wire
        assert decode(record, on_the_wire) == value

    survives()


@pytest.mark.parametrize("result", RESULTS, ids=str)
def test_every_result_survives_the_wire(result: Any) -> None:
    @given(of_type(result))
    def survives(value: object) -> None:
        assert decode(result, json.loads(json.dumps(encode(result, value)))) == value

    survives()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*HASH_DATA, *HashAlgorithm]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(HASH_DATA)) | st.text(), inner),
)


@given(st.sampled_from(RECORDS), ANYTHING)
def test_whatever_comes_in_is_a_record_or_a_malformed_request(record: Any, value: object) -> None:
    try:
        assert isinstance(decode(record, value, "x"), record)
    except MalformedRequest as refusal:
        assert refusal.path.startswith("x")


def test_a_field_that_is_none_is_absent_on_the_wire() -> None:
    assert encode(OCSPRequestData, OCSPRequestData()) == {}
    assert encode(GetKeyPairResult, GetKeyPairResult(status=GetKeyPairStatus.NotFound)) == {"status": "NotFound"}
    pair = KeyPair(key="/k", certificate="/c")
    assert encode(KeyPair, pair) == {"key": "/k", "certificate": "/c"}
    assert encode(CertificateInfo, CertificateInfo(key="/k", certificate_count=2, ocsp=())) == {
        "key": "/k",
        "certificate_count": 2,
        "ocsp": [],
    }


def test_what_is_on_the_wire_is_plain() -> None:
    encoded = encode(InstallCertificateResult, InstallCertificateResult.Accepted)
    assert type(encoded) is str
    hash_data: CertificateHashData = decode(CertificateHashData, HASH_DATA)
    assert {type(member) for member in encode(CertificateHashData, hash_data).values()} == {str}


def hash_data(**changes: object) -> dict[str, object]:
    return {name: value for name, value in {**HASH_DATA, **changes}.items() if value is not ...}


MALFORMED: list[tuple[Any, object, str, str]] = [
    (str, 1, "", "expected a string, got an integer"),
    (str, None, "", "expected a string, got null"),
    (str, True, "", "expected a string, got a boolean"),
    (str, b"x", "", "expected a string, got bytes"),
    (str, "x" * (MAX_STRING + 1), "", f"has {MAX_STRING + 1} characters, at most {MAX_STRING} are allowed"),
    (str, "key\ud800", "", "is not text: it holds half of a surrogate pair"),
    (int, True, "", "expected an integer, got a boolean"),
    (int, 1.0, "", "expected an integer, got a number"),
    (int, "1", "", "expected an integer, got a string"),
    (bool, 1, "", "expected a boolean, got an integer"),
    (bool, "true", "", "expected a boolean, got a string"),
    (type(None), {}, "", "expected null, got an object"),
    (CaCertificateType, "v2g", "", 'expected one of V2G, MO, CSMS, MF, got "v2g"'),
    (CaCertificateType, 0, "", "expected one of V2G, MO, CSMS, MF, got an integer"),
    (CaCertificateType, [], "", "expected one of V2G, MO, CSMS, MF, got an array"),
    (r2023_10.LeafCertificateType, "MO", "", 'expected one of CSMS, V2G, MF, got "MO"'),
    (tuple[CaCertificateType, ...], "V2G", "", "expected an array, got a string"),
    (tuple[CaCertificateType, ...], {}, "", "expected an array, got an object"),
    (tuple[CaCertificateType, ...], ["V2G", "x"], "[1]", 'expected one of V2G, MO, CSMS, MF, got "x"'),
    (tuple[bool, ...], [True] * (MAX_ARRAY + 1), "", f"has {MAX_ARRAY + 1} members, at most {MAX_ARRAY} are allowed"),
    (CertificateHashData, [], "", "expected an object, got an array"),
    (CertificateHashData, hash_data(serial_number=...), "serial_number", "is required"),
    (CertificateHashData, {}, "hash_algorithm", "is required"),
    (CertificateHashData, hash_data(serial_number=None), "serial_number", "expected a string, got null"),
    (
        CertificateHashData,
        hash_data(serial_number="0" * 41),
        "serial_number",
        "has 41 characters, at most 40 are allowed",
    ),
    (
        CertificateHashData,
        hash_data(issuer_key_hash="0" * 129),
        "issuer_key_hash",
        "has 129 characters, at most 128 are allowed",
    ),
    (
        CertificateHashData,
        hash_data(hash_algorithm="MD5"),
        "hash_algorithm",
        'expected one of SHA256, SHA384, SHA512, got "MD5"',
    ),
    (
        CertificateHashData,
        hash_data(serial="1"),
        "serial",
        "no such field; there are hash_algorithm, issuer_name_hash, issuer_key_hash, serial_number",
    ),
    (OCSPRequestData, {"responder_url": None}, "responder_url", "expected a string, got null"),
    (OCSPRequestData, {"responder_url": "x" * 513}, "responder_url", "has 513 characters, at most 512 are allowed"),
    (
        OCSPRequestData,
        {"certificate_hash_data": hash_data(serial_number=7)},
        "certificate_hash_data.serial_number",
        "expected a string, got an integer",
    ),
    (
        GetInstalledCertificatesResult,
        {
            "status": "Accepted",
            "certificate_hash_data_chain": [
                {
                    "certificate_type": "V2GRootCertificate",
                    "certificate_hash_data": HASH_DATA,
                    "child_certificate_hash_data": [HASH_DATA, hash_data(hash_algorithm="")],
                }
            ],
        },
        "certificate_hash_data_chain[0].child_certificate_hash_data[1].hash_algorithm",
        'expected one of SHA256, SHA384, SHA512, got ""',
    ),
]


@pytest.mark.parametrize(("hint", "value", "path", "problem"), MALFORMED, ids=[case[3] for case in MALFORMED])
def test_malformed_values_are_refused_with_their_path(hint: Any, value: object, path: str, problem: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        decode(hint, value)
    assert (refused.value.path, refused.value.problem) == (path, problem)


@pytest.mark.parametrize(("path", "below"), [("a", "a.serial_number"), ("a[2]", "a[2].serial_number")])
def test_paths_start_where_the_caller_says(path: str, below: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        decode(CertificateHashData, hash_data(serial_number=...), path)
    assert refused.value.path == below


def test_a_path_into_an_array_has_no_dot() -> None:
    with pytest.raises(MalformedRequest) as refused:
        decode(tuple[CertificateType, ...], [1], "certificate_types")
    assert refused.value.path == "certificate_types[0]"


@pytest.mark.parametrize("text", ["x" * MAX_STRING, "Größe 電気", "\U0001f50c", ""], ids=len)
def test_any_text_within_the_limit_is_taken(text: str) -> None:
    assert decode(str, text) == text


@given(st.text())
def test_messages_repeat_little_of_what_was_refused_and_on_one_line(text: str) -> None:
    told = shown(text)
    assert len(told) <= SHOWN + 2
    assert told.isascii() or told.endswith('…"')
    assert told.isprintable()
    with pytest.raises(MalformedRequest) as refused:
        decode(CertificateHashData, hash_data(**{text + "?": 1}))
    assert len(refused.value.path) <= SHOWN + 2
    assert refused.value.path.isprintable()


def test_a_long_input_is_never_repeated_whole() -> None:
    secret = "".join(chr(ord("a") + n % 26) for n in range(200))
    for hint, value in [(CaCertificateType, secret), (CertificateHashData, {secret: 1}), (int, secret)]:
        with pytest.raises(MalformedRequest) as refused:
            decode(hint, value)
        assert secret[: SHOWN + 1] not in str(refused.value)


WRONG_TYPES: list[tuple[Any, object]] = [
    (str, b"x"),
    (bool, 1),
    (int, True),
    (type(None), False),
    (InstallCertificateResult, "Accepted"),
    (CaCertificateType, vocabulary.LeafCertificateType.V2G),
    (r2023_10.LeafCertificateType, CaCertificateType.V2G),
    (tuple[str, ...], ["x"]),
    (GetKeyPairResult, {"status": "Accepted"}),
    (CertificateHashData, CertificateHashData(**{**HASH_DATA, "serial_number": 1})),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("hint", "value"), WRONG_TYPES)
def test_an_answer_of_the_wrong_type_is_a_programming_error(hint: Any, value: object) -> None:
    with pytest.raises(TypeError, match=" expected, not "):
        encode(hint, value)


def test_how_a_type_is_decoded_is_worked_out_once() -> None:
    assert decoder(CertificateHashData) is decoder(CertificateHashData)
    assert encoder(CertificateHashData) is encoder(CertificateHashData)


@pytest.mark.parametrize("plan", [decoder, encoder])
@pytest.mark.parametrize("hint", [float, bytes, object, dict[str, str], list[str], int | str, int | str | None])
def test_a_declaration_with_types_that_the_wire_has_not_is_refused(plan: Any, hint: Any) -> None:
    with pytest.raises(TypeError, match=r"^the interface has no values of type "):
        plan(hint)


def test_every_hint_of_the_vocabulary_is_understood() -> None:
    for record in RECORDS:
        for hint in get_type_hints(record, include_extras=True).values():
            assert callable(decoder(hint))
            assert callable(encoder(hint))
