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
_ROOTS, _CHANGE, _TLS, _PROFILES = "test_roots", "test_octt_roots", "test_octt_tls", "test_octt_profiles"
_FIRMWARE, _FAILURES = "test_firmware", "test_octt_failures"


class Requirement(NamedTuple):
    """One requirement, by the ids of OCPP 2.0.1 and 2.1."""

    ids: str
    editions: tuple[Edition, ...]
    done: str
    test: str
    """`module:function`, below tests/adapters/ocpp; empty: no test shows it."""


REQUIREMENTS = (
    Requirement(
        "A00.FR.308–.311, .411–.414",
        _ALL,
        "A CSMS whose certificate does not lead to a trusted root, is out of its time or for another name (or a "
        "wildcard, unless `allow_wildcards`) is not spoken to; the event is sent later",
        f"{_TLS}:test_tc_a_05_a_csms_with_a_wrong_certificate_is_not_spoken_to",
    ),
    Requirement(
        "A00.FR.313, .416",
        _ALL,
        "TLS 1.2 or 1.3",
        f"{_CONNECTOR}:test_tc_a_04_07_a_csms_and_a_station_that_prove_who_they_are",
    ),
    Requirement(
        "A00.FR.316, .419",
        _ALL,
        "A CSMS with TLS 1.1 or 1.0 alone is not spoken to; `InvalidTLSVersion` is sent later",
        f"{_TLS}:test_tc_a_06_a_csms_with_tls_1_1_is_not_spoken_to",
    ),
    Requirement(
        "A00.FR.319–.321 (1.6: .318–.320)",
        _ALL,
        "Offered are TLS 1.3's suites and, for 1.2, ECDHE with AES-GCM, both that OCPP demands with ECDSA among them; "
        "no compression",
        f"{_TLS}:test_a00_fr_318_the_suites_that_are_offered",
    ),
    Requirement(
        "A00.FR.323, .426",
        _ALL,
        "A CSMS with other suites alone is not spoken to; `InvalidTLSCipherSuite` is sent later",
        f"{_TLS}:test_tc_a_06_a_csms_with_weak_suites_alone_is_not_spoken_to",
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
        "Security events wait on the disk for the CSMS and go out in order, 400 at most: then the oldest uncritical "
        "one is dropped, of critical ones alone the last but one of the kind that there is most of; `MemoryExhaustion` "
        "tells how many, and of when",
        f"{_A}:test_a04_events_wait_for_the_csms_in_order_and_over_restarts",
    ),
    Requirement(
        "A05 (an upgrade)",
        _ALL,
        "The station connects by the new profile, and by no lower one again once it has; until then, back after some "
        "attempts",
        f"{_PROFILES}:test_tc_a_19_from_passwords_to_client_certificates",
    ),
    Requirement(
        "A05.FR.02",
        _ALL,
        "No TLS without a valid CSMS root",
        f"{_PROFILES}:test_tc_a_20_no_csms_root_and_tc_a_19_with_one",
    ),
    Requirement(
        "A05.FR.03, B09.FR.04",
        _ALL,
        "No client certificates without a valid one; no lower profile",
        f"{_PROFILES}:test_tc_a_21_22_refusals",
    ),
    Requirement(
        "A05.FR.08–.10",
        _AT_ONCE,
        "From 3 to 2, and no lower, with AllowSecurityProfileDowngrade: a variable of 2.1, before that `may_go_down`",
        f"{_PROFILES}:test_allow_security_profile_downgrade",
    ),
    Requirement(
        "C07",
        _ALL,
        "Authorize names the certificates of a contract chain that holds here, where all name a responder; else it "
        "holds the chain",
        f"{_M}:test_c07_authorize_names_the_certificates_of_a_contract",
    ),
    Requirement(
        "L01.FR.02, .21, .22",
        _ALL,
        "The signing certificate leads to a manufacturer's root: else `InvalidCertificate` (or "
        "`RevokedCertificate`) and the event, before anything is downloaded",
        f"{_FIRMWARE}:test_tc_l_05_another_certificate_is_refused_before_the_download",
    ),
    Requirement(
        "L01.FR.04",
        _ALL,
        "`firmware_is_signed` judges the certificate once more, and the signature over the file that was downloaded",
        f"{_FIRMWARE}:test_tc_l_01_what_the_manufacturer_signed_is_verified",
    ),
    Requirement(
        "L01.FR.03",
        _ALL,
        "Another signature, or a file that is gone, no file or too large: `InvalidFirmwareSignature`, with the reason",
        f"{_FIRMWARE}:test_tc_l_06_another_signature_is_told",
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
    Requirement(
        "M04 (it fails)",
        _ALL,
        "A disk that does not let it: Failed, and it is there still",
        f"{_FAILURES}:test_tc_m_21_a_deletion_that_fails",
    ),
    Requirement("M04.FR.03", _ALL, "The last CSMS root stays: Failed", f"{_DESK}:test_the_last_csms_root_stays"),
    Requirement(
        "M04.FR.06",
        _ALL,
        "The client certificate is not deleted: Failed",
        f"{_M}:test_tc_m_23_the_client_certificate_is_not_deleted",
    ),
    Requirement(
        "M05.FR.03",
        _ALL,
        "A disk that takes nothing: Failed",
        f"{_FAILURES}:test_tc_m_05_a_disk_that_takes_nothing",
    ),
    Requirement(
        "M05.FR.06, .07",
        _ALL,
        "What is no CA, too weak, out of its time or too many: Rejected",
        f"{_FAILURES}:test_tc_m_07_an_expired_and_a_weak_root",
    ),
    Requirement(
        "M05.FR.09 (1.6: .08)",
        _ALL,
        "With AdditionalRootCertificateCheck two CSMS roots are kept at most: a third is Rejected, `RootOnTrial`, "
        "until the new one has replaced the old",
        f"{_ROOTS}:test_m05_fr_09_a_third_root_is_not_taken_while_two_are_on_trial",
    ),
    Requirement(
        "M05.FR.10, .11 (1.6: .09, .10)",
        _ALL,
        "A new CSMS root is signed by the installed one: else Rejected, `NotSignedByOldRoot`, and the event",
        f"{_ROOTS}:test_m05_fr_10_11_a_root_that_the_old_one_did_not_sign_is_rejected",
    ),
    Requirement(
        "M05.FR.12 (1.6: .11)",
        _ALL,
        "The new one is installed, and it alone is trusted at the next connection; the old one is kept as fallback",
        f"{_ROOTS}:test_m05_fr_12_the_new_root_is_used_and_the_old_one_kept",
    ),
    Requirement(
        "M05.FR.13 (1.6: .12)",
        _ALL,
        "After a connection under the new one the old one is removed; while the client certificate that is used leads "
        "to no other, it stays, and is not trusted",
        f"{_CHANGE}:test_tc_m_30_reconnect_under_the_new_root",
    ),
    Requirement(
        "M05.FR.14 (1.6: .13)",
        _ALL,
        "A CSMS that does not verify under the new one is verified with the old one at once, and told with "
        "`InvalidCsmsCertificate` once; the new one is tried first with each connection",
        f"{_CHANGE}:test_tc_m_31_fall_back_to_the_old_root",
    ),
    Requirement(
        "M05.FR.09–.14 (power cuts)",
        _ALL,
        "Killed at any step, the station trusts a root that it trusted before, and the change goes on",
        "test_roots_kill:test_killed_at_every_step",
    ),
    Requirement(
        "M03, M04, M05: OEMRootCertificate",
        _V21,
        "OEM roots are installed, listed and deleted as the others; where the configuration has no place for them, "
        "and before 2.1, Rejected with `UnsupportedParam`",
        f"{_M}:test_an_oem_root_is_installed_listed_and_deleted",
    ),
    Requirement(
        "M05.FR.15, .16",
        _ALL,
        "Not covered: they belong to AdditionalRootCertificateCheck, but their text was not at hand: nobody has "
        "compared with it what is done here",
        "",
    ),
    Requirement("M05.FR.17", _ALL, "Installing again: Accepted", f"{_M}:test_m05_fr_17_installing_again_is_accepted"),
    Requirement(
        "M06.FR.06–.10",
        _ALL,
        "The status of each certificate of the SECC chains is asked for by itself, at the latest weekly, "
        "and after a new leaf at once; verified, then kept",
        f"{_M}:test_tc_m_24_the_status_of_each_certificate_is_asked_for_and_kept",
    ),
    Requirement(
        "M07",
        _V21,
        "A car's chain is asked about with one GetCertificateChainStatus; what is missing is Unknown",
        f"{_M}:test_m07_a_cars_chain_is_asked_about_with_one_message",
    ),
)
