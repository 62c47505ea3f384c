"""The requirements of OCPP over certificates, one row each: what is done about it, and the test that shows it."""

from __future__ import annotations

from typing import NamedTuple

from evse_security.adapters.ocpp.editions import Edition

_ALL = tuple(Edition)
_V2 = (Edition.V201, Edition.V201_2025, Edition.V21)
_BASE = (Edition.V16, Edition.V201)
_AT_ONCE = (Edition.V201_2025, Edition.V21)
_V21 = (Edition.V21,)
_DESK, _A, _M, _CONNECTOR = "test_desk", "test_octt_a", "test_octt_m", "test_connector"
_TWO, _COMBINED = "test_two_editions", "test_combined"


class Requirement(NamedTuple):
    """One requirement, by the ids of OCPP 2.0.1 and 2.1."""

    ids: str
    editions: tuple[Edition, ...]
    done: str
    test: str
    """`module:function`, below tests/adapters/ocpp; empty: no test shows it."""


REQUIREMENTS = (
    Requirement(
        "A00 (the CSMS proves who it is)",
        _ALL,
        "A CSMS whose certificate does not lead to an installed root is not spoken to; the event is sent later",
        f"{_CONNECTOR}:test_tc_a_05_a_csms_with_a_certificate_of_a_stranger_is_not_spoken_to",
    ),
    Requirement(
        "A00 (versions of TLS)",
        _ALL,
        "TLS 1.2 or 1.3",
        f"{_CONNECTOR}:test_tc_a_04_07_a_csms_and_a_station_that_prove_who_they_are",
    ),
    Requirement(
        "A02, A03 (renewal)",
        _ALL,
        "A leaf is renewed 30 days before its end, or in the last third of its life if that is shorter",
        "test_fleet:test_a_fleet_of_200_does_not_ask_at_one_time",
    ),
    Requirement(
        "A02 (CN and O)",
        _ALL,
        "CN and O of a signed leaf are those of its request: else Rejected, `InvalidCommonName`",
        f"{_DESK}:test_a_leaf_for_another_name_than_asked_for_is_refused",
    ),
    Requirement(
        "A02, A03 (V2G20Certificate)",
        _V21,
        "The SECC leaves of ISO 15118-2 and -20 have a key, a request and a renewal each: neither waits for the other",
        f"{_TWO}:test_tc_a_12_both_leaves_at_the_csms_request_and_again",
    ),
    Requirement(
        "A02, A03 (SignCombinedCertificate)",
        _V2,
        "With `combined` in the policy one certificate without a type serves the CSMS and cars, on both sides or on "
        "none, after a power cut too; else NotImplemented",
        f"{_COMBINED}:test_tc_a_13_a_combined_certificate_at_the_csms_request_and_again",
    ),
    Requirement(
        "A02.FR.07, .20",
        _ALL,
        "An invalid chain: Rejected, event, and nothing is asked until a trigger",
        f"{_DESK}:test_after_a_refused_chain_nothing_is_asked_until_a_trigger",
    ),
    Requirement(
        "A02.FR.08",
        _BASE,
        "A leaf may begin later; from then on it is used, and the old one is kept",
        f"{_DESK}:test_base_editions_switch_at_the_start_and_keep_the_old_one",
    ),
    Requirement(
        "A02.FR.08, .10, A03.FR.24",
        _AT_ONCE,
        "The new leaf must be valid now; the station reconnects, and discards the old one then",
        f"{_CONNECTOR}:test_a_renewed_certificate_is_tried_at_once_and_the_old_one_discarded",
    ),
    Requirement(
        "A02.FR.28, .29",
        _AT_ONCE,
        "The new one fails: the old one serves, the new one is discarded, `DiscardedRenewedClientCertificate`",
        f"{_CONNECTOR}:test_a_renewed_certificate_that_the_csms_refuses_is_discarded_and_told",
    ),
    Requirement(
        "A02.FR.15",
        _ALL,
        "Of each root the leaf that begins last is used, with `newest_by = not_before`; by default, as in EVerest, the "
        "one that ends last",
        f"{_TWO}:test_the_newest_leaf_is_the_one_that_begins_last_where_that_is_configured",
    ),
    Requirement(
        "A02.FR.16",
        _ALL,
        "A chain longer than MaxCertificateChainSize: Rejected, `TooLargeElement`",
        f"{_DESK}:test_a_chain_longer_than_agreed_is_refused",
    ),
    Requirement(
        "A02.FR.17–.19, A03.FR.17–.19",
        _ALL,
        "A request without answer is repeated after CertSigningWaitMinimum, doubled each time, "
        "CertSigningRepeatTimes times; then once a day",
        f"{_DESK}:test_a_request_without_answer_is_repeated_with_doubled_pauses_and_then_once_a_day",
    ),
    Requirement(
        "A02.FR.21",
        _ALL,
        "A request for an SECC leaf that the CSMS rejects is told to the program (`secc_refused`), which decides "
        "whether there is no Plug & Charge then; it is asked again after CertSigningWaitMinimum",
        f"{_A}:test_a02_fr_21_that_no_secc_leaf_is_to_be_had_is_told_to_the_program",
    ),
    Requirement(
        "A02.FR.24–.27 (requestId)",
        _V21,
        "Each request has a requestId of its own; one that is not known: Rejected",
        f"{_DESK}:test_a_request_number_that_is_not_known_is_refused",
    ),
    Requirement(
        "A02.FR.24–.27, A03 (hashRootCertificate)",
        _V21,
        "The renewal of an SECC leaf names the root of that leaf, expired or not; a first request names none",
        f"{_TWO}:test_each_is_renewed_by_its_own_end_and_names_its_own_root",
    ),
    Requirement(
        "A04.FR.01–.04",
        _ALL,
        "Security events wait on the disk for the CSMS and go out in order; no critical one is dropped for another",
        f"{_A}:test_a04_events_wait_for_the_csms_in_order_and_over_restarts",
    ),
    Requirement(
        "A05",
        _ALL,
        "No lower security profile, none without its certificates",
        f"{_A}:test_tc_a_19_to_22_changing_the_security_profile",
    ),
    Requirement(
        "C07",
        _ALL,
        "Authorize names the certificates of a contract chain, or holds the chain where they name no responder",
        f"{_M}:test_c07_authorize_names_the_certificates_of_a_contract",
    ),
    Requirement(
        "L01.FR.21, .22",
        _ALL,
        "The signing certificate leads to a manufacturer's root: else `InvalidCertificate` (or "
        "`RevokedCertificate`) and the event, before anything is downloaded",
        f"{_A}:test_l01_the_signing_certificate_is_checked_before_the_own_handler_is_asked",
    ),
    Requirement(
        "M01.FR.06, .07, M02",
        _ALL,
        "A car's request is passed on; in 2.1 again as long as contracts remain",
        f"{_M}:test_tc_m_26_to_29_a_cars_contract",
    ),
    Requirement(
        "M03, M03.FR.05",
        _ALL,
        "Installed certificates by type, all without one; sub-CAs as children",
        f"{_M}:test_tc_m_15_list_v2g_chains_with_their_sub_cas",
    ),
    Requirement("M04.FR.03", _ALL, "The last CSMS root stays: Failed", f"{_DESK}:test_the_last_csms_root_stays"),
    Requirement(
        "M04.FR.06",
        _ALL,
        "The client certificate is not deleted: Failed",
        f"{_M}:test_tc_m_23_the_client_certificate_is_not_deleted",
    ),
    Requirement(
        "M05.FR.03, .06, .07",
        _ALL,
        "What is no CA, too weak, out of its time or too many: Rejected; a disk that fails: Failed",
        f"{_M}:test_tc_m_07_install_an_invalid_certificate",
    ),
    Requirement(
        "M05.FR.09, .10, .13",
        _ALL,
        "With AdditionalRootCertificateCheck a new CSMS root is signed by the old one, which stays as fallback",
        f"{_M}:test_tc_m_09_install_a_csms_root_with_additional_root_certificate_check",
    ),
    Requirement("M05.FR.17", _ALL, "Installing again: Accepted", f"{_M}:test_m05_fr_17_installing_again_is_accepted"),
    Requirement(
        "M06.FR.06–.10",
        _ALL,
        "The status of each certificate of the SECC chains is asked for by itself, at the latest weekly, "
        "and after a new leaf at once; verified, then kept",
        f"{_M}:test_tc_m_24_30_the_status_of_each_certificate_is_asked_for_and_kept",
    ),
    Requirement(
        "M07",
        _V21,
        "A car's chain is asked about with one GetCertificateChainStatus; what is missing is Unknown",
        f"{_M}:test_m07_a_cars_chain_is_asked_about_with_one_message",
    ),
)
