"""The type checker that enforces annotations under test: beartype, with an int accepted where a float is asked for."""

from beartype import BeartypeConf, beartype

enforce = beartype(conf=BeartypeConf(is_pep484_tower=True))
