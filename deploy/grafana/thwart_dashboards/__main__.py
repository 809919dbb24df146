"""Writes the dashboards: `scripts/dashboards`."""

from thwart_dashboards import FOLDER, written

for name, text in written():
    (FOLDER / name).write_text(text)
    print(FOLDER / name)
