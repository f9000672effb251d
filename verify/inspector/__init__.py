"""The inspector: what stands in a construction's layers, heads and registers, and what flows through them.

replay.py     an example history, the registers after every layer, beside what they should hold
record.py     all of it as JSON, weights exact
page.py       one self-contained page: page.html, page.css and scripts around the record
trained.py    which registers stand in the layers of a trained model, for a section of it
beside.py     two such pages side by side, on one history
"""

from verify.inspector.beside import beside
from verify.inspector.page import page
from verify.inspector.record import record
from verify.inspector.replay import Replay, replay
from verify.inspector.trained import readouts

__all__ = ["Replay", "beside", "page", "readouts", "record", "replay"]
