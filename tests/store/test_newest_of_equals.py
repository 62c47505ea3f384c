"""Leaves of one validity, as a CA issues them to a station that renews twice within a second."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from evse_security import CaCertificateType, EncodingFormat, LeafCertificateType, Station, StationConfig
from evse_security.config import NewestBy
from tests.builders import NOW, csms, world


def ticking() -> Callable[[], datetime]:
    """A clock that every look moves by a microsecond."""
    times: Iterator[datetime] = (NOW + timedelta(microseconds=number) for number in range(10**6))
    return lambda: next(times)


@pytest.mark.parametrize("newest_by", ["not_after", "not_before"])
@pytest.mark.parametrize("renewals", [2, 3, 12])
def test_of_leaves_with_one_validity_the_one_whose_key_was_made_last_is_used(
    tmp_path: Path, newest_by: NewestBy, renewals: int
) -> None:
    made = world("Root > Sub > SECC")
    config = StationConfig.under(tmp_path, clock=ticking(), newest_by=newest_by)
    with Station.open(config) as station:
        today = station.interface()
        today.install_ca_certificate(certificate=made["Root"].pem, certificate_type=CaCertificateType.V2G)
        for _ in range(renewals):
            request = today.generate_certificate_signing_request(
                certificate_type=LeafCertificateType.V2G, country="DE", organization="O", common="C", use_tpm=False
            )
            chain = csms(made, "Sub").answer(request.csr or "")
            today.update_leaf_certificate(certificate_chain=chain, certificate_type=LeafCertificateType.V2G)
            info = today.get_leaf_certificate_info(
                certificate_type=LeafCertificateType.V2G, encoding=EncodingFormat.PEM, include_ocsp=False
            ).info
            assert info is not None
            assert Path(info.certificate or "").read_text() == chain
