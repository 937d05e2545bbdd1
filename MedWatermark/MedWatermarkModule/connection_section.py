"""The section *Ledger and account*: who one is, and where the ledger and the packages are."""

import os
from collections.abc import Callable

from slicer.i18n import tr as _

from MedWatermarkModule import missing
from MedWatermarkModule.exchange_logic import Connection, keyFilesBeside


class ConnectionSection:
    def __init__(self, panel) -> None:
        self.panel = panel
        self.ui = panel.ui
        self._practice = None
        self._starting = None
        self.ui.practiceButton.connect("clicked(bool)", self.onPractise)
        self.clear()

    def clear(self) -> None:
        """End the practice ledger: scene and choices have gone."""
        if self._practice:
            self._practice.stop()
        self._practice = None
        self.ui.practiceLabel.hide()

    def update(self) -> None:
        """Follow the choices."""
        missing.offer(
            self.ui.practiceButton,
            _("Run a ledger on this computer, with coins that are worth nothing, to try things."),
            self._missingForPractice() or self.panel.busy(),
        )

    def _missingForPractice(self) -> str:
        if self._practice:
            return _("The practice ledger is running, until the scene is closed.")
        return self.missingAccount()

    def missingLedger(self) -> str:
        """Why the ledger cannot be asked, or ""."""
        parameters = self.panel.parameters
        if not parameters or not os.path.isfile(parameters.ledgerFile):
            return _("Choose the file of the ledger, under Ledger and account.")
        if not os.path.isdir(parameters.exchangesFolder):
            return _("Choose the folder for exchanges, under Ledger and account.")
        return ""

    def missingAccount(self) -> str:
        """Why nothing can be sent to the ledger, or ""."""
        parameters = self.panel.parameters
        if not parameters or not os.path.isfile(parameters.accountFile):
            return _("Choose the key file of your account, under Ledger and account.")
        return ""

    def missingForExchange(self) -> str:
        """What lacks for sharing or receiving, or ""."""
        if lacking := self.missingLedger() or self.missingAccount():
            return lacking
        parameters = self.panel.parameters
        if not os.path.isfile(parameters.identityFile):
            return _("Choose your age identity, under Ledger and account.")
        if not parameters.store.strip():
            return _("Say where sealed packages lie, under Ledger and account.")
        return ""

    def connection(self, *secrets: str) -> Connection | None:
        """
        The connection, with the passwords that are wanted; None if the user cancels.

        :param secrets: "account", "identity".
        """
        parameters = self.panel.parameters
        passwords = {}
        for name, file in (
            ("account", parameters.accountFile),
            ("identity", parameters.identityFile),
        ):
            if name in secrets:
                passwords[f"{name}Password"] = self.panel.askPassword(file)
        if None in passwords.values():
            return None
        for name in ("ledger", "account", "identity", "exchanges"):
            getattr(self.ui, f"{name}PathLineEdit").addCurrentPathToHistory()
        return Connection(
            parameters.ledgerFile,
            parameters.accountFile,
            parameters.identityFile,
            parameters.store.strip(),
            parameters.exchangesFolder,
            **passwords,
        )

    def withConnection(self, secrets: tuple[str, ...], start: Callable, done, failure: str) -> None:
        """Ask for passwords, and run the task that ``start(connection)`` gives."""
        connection = self.connection(*secrets)
        if connection:
            self.panel.run(lambda: start(connection), done, failure)

    def onPractise(self, checked=False) -> None:
        keyFiles = keyFilesBeside(self.panel.parameters.accountFile)
        self.panel.run(
            lambda: self._started(self.panel.logic.exchange.practise(keyFiles)),
            self._onPractising,
            _("The practice ledger could not be started."),
        )

    def _started(self, service):
        self._starting = service
        return service

    def _onPractising(self, ledgerFile: str, warnings: list[str]) -> None:
        self._practice = self._starting
        if self.panel.parameters:
            self.panel.parameters.ledgerFile = ledgerFile
        self.ui.practiceLabel.text = _(
            "A practice ledger runs on this computer until the scene is closed. All accounts in "
            "the folder of your key file take part; their coins are worth nothing."
        )
        self.ui.practiceLabel.show()
