"""The language in which constructions are written: registers, links, blocks, assembly."""
