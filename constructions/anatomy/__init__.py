"""What stands in a transformer's layers, and what each head says, read off the weights; blocks only lend names.

formulas.py   what a head computes, as a formula
layers.py     layers, families of heads and neurons, the blocks they belong to, their norms
matrices.py   a matrix under the names of its rows and columns
heads.py      every head with Q, K and V under the names of registers: `built.heads()`
latex.py      formulas and words as LaTeX
"""
