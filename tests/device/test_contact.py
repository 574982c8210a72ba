"""The contact: when answers may be counted on."""

import pytest

from device.breaker import Breaker
from device.contact import Contact


@pytest.fixture
def contact():
    return Contact(Breaker(failures=2, retry_s=0.5))


def there(contact, silent_s=0.0, patient=False):
    return contact.is_there(silent_s, patient=patient)


def test_one_late_answer_is_enough_unless_the_device_computes_on(contact):
    contact.overdue()
    assert not there(contact)
    assert there(contact, patient=True)
    contact.heard()
    assert there(contact)


@pytest.mark.parametrize("patient", [False, True])
def test_of_a_link_that_is_silent_for_long_nothing_is_known(contact, patient):
    assert there(contact, 4.9, patient)
    assert not there(contact, 5.1, patient)


def test_failures_in_a_row_open_the_breaker_and_an_answer_closes_it(contact):
    contact.failed(0.0)
    assert there(contact)
    contact.failed(0.1)
    assert not there(contact, patient=True)
    contact.heard()
    assert there(contact)


@pytest.mark.parametrize("mended", ["renewed", "broke"])
def test_a_server_without_the_bundle_is_asked_for_another_or_over_another_connection(
    contact, mended
):
    contact.unserved()
    contact.heard()
    assert not there(contact, patient=True)
    if mended == "renewed":
        contact.renewed()
    else:
        contact.broke(0.0)
        assert not there(contact, patient=True)  # until something is heard over the new one
        contact.heard()
    assert there(contact)
