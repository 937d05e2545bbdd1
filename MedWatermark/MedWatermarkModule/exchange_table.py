"""A table of exchanges: where each stands, and a button for the one step that is next."""

from collections.abc import Callable
from dataclasses import dataclass, field

import qt

# Pixels. Of a longer table one scrolls.
GREATEST_HEIGHT = 240
FRAME = 4


@dataclass(frozen=True)
class Row:
    """
    An exchange in the table.

    texts - What stands in the columns before the button.
    tip - The whole of it, in sentences.
    step - What the button says; "" if there is nothing to do.
    tell - What is sent where by the step.
    take - Called when the button is clicked.
    """

    texts: tuple[str, ...]
    tip: str
    step: str
    tell: str
    take: Callable = field(compare=False)


class ExchangeTable:
    def __init__(self, widget) -> None:
        self._widget = widget
        self._shown = None

    def show(self, rows: list[Row], lacking: str) -> None:
        """Fill the table; ``lacking`` says why no step can be taken now, or is ""."""
        if (rows, lacking) == self._shown:
            return
        self._shown = rows, lacking
        table = self._widget
        table.setRowCount(0)
        for number, row in enumerate(rows):
            table.insertRow(number)
            for column, text in enumerate(row.texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(row.tip)
                table.setItem(number, column, item)
            if row.step:
                button = qt.QPushButton(row.step)
                button.toolTip = lacking or row.tell
                button.enabled = not lacking
                button.connect("clicked()", row.take)
                table.setCellWidget(number, len(row.texts), button)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        table.resizeRowsToContents()
        height = header.property("height") + sum(map(table.rowHeight, range(len(rows))))
        table.minimumHeight = table.maximumHeight = min(height + FRAME, GREATEST_HEIGHT)
        table.setVisible(bool(rows))
