"""Games against whoever sets the losses: exponential weights, exactly.

hedge.py   full information: every arm's loss is seen after each round
exp3.py    bandit feedback: only that of the arm played, and with it the probability with which it was
"""

from constructions.games import exp3 as exp3
from constructions.games import hedge as hedge
