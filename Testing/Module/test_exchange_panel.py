"""Exchanges that do not go their usual way, in the panel and on a practice ledger."""

import sys

import pytest
from clinic import PASSWORD


@pytest.fixture
def deal(module, quick_identities, slot_errors):
    """The self-test, with a sale that was just offered, and the panel as the hospital's."""
    import slicer
    from MedWatermarkModule import phantom

    test = sys.modules["MedWatermark"].MedWatermarkTest()
    test.setUp()
    try:
        panel = test.panel()
        choices = panel.parameters
        test.both = test.parties()
        choices.sharedVolume = test.mark(phantom.ct())
        test.become(panel, test.both["hospital"])
        test.click(panel, panel.ui.practiceButton)
        test.click(panel, panel.ui.previewButton)
        choices.recipientKey = test.both["clinic"]["key"]
        choices.recipient, choices.price = test.both["clinic"]["address"], "0.25"
        test.click(panel, panel.ui.shareButton)
        yield test, panel
    finally:
        test.doCleanups()
        slicer.mrmlScene.Clear()


def test_an_offer_is_taken_back_and_its_recipient_sees_nothing_of_it(deal):
    test, panel = deal
    test.click(panel, test.step(panel.ui.exchangesTable, "Cancel"))
    assert panel.ui.exchangesTable.item(0, 1).text() == "cancelled"
    test.become(panel, test.both["clinic"])
    test.click(panel, panel.ui.offersButton)
    assert panel.ui.receivedLabel.text == "Nothing is offered or granted to you."


def test_a_refund_before_its_time_is_refused_and_said_why(deal, slot_errors):
    test, panel = deal
    test.become(panel, test.both["clinic"])
    test.click(panel, panel.ui.offersButton)
    test.click(panel, test.step(panel.ui.offersTable, "Accept"))
    assert panel.ui.offersTable.item(0, 1).text() == "paid into escrow"
    # What would be next, had the hospital fallen silent for a day.
    receive = panel.section("Receive")
    receive._offers[0]["next"] = "refund"
    receive.update()
    test.click(panel, test.step(panel.ui.offersTable, "Refund"))
    (refusal,) = slot_errors
    assert "to reveal the key" in str(refusal)
    assert panel.ui.offersTable.item(0, 1).text() == "paid into escrow"
    slot_errors.clear()


def test_an_identity_of_the_self_test_opens_with_its_password(phantom, tmp_path):
    from MedWatermarkLib.identity_file import load_identity

    key = phantom.writeIdentity(tmp_path / "clinic.age", PASSWORD)
    assert load_identity(tmp_path / "clinic.age", PASSWORD).recipient == key


def test_what_is_not_what_was_registered_is_not_loaded(module):
    import slicer
    from MedWatermarkModule.child import CommandError
    from MedWatermarkModule.exchange_logic import _load

    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(CommandError, match="payment and bond were taken back"):
        _load({"outcome": "refunded"})
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_without_a_folder_for_exchanges_nothing_is_begun(logic, phantom):
    from MedWatermarkModule.exchange_logic import Connection, NoFileError

    with pytest.raises(NoFileError, match="no folder"):
        logic.exchange.share(phantom.ct(), Connection("ledger", "account"), "age1")
