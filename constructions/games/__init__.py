"""Games against whoever sets the losses: exponential weights, exactly.

hedge.py   full information: every arm's loss is seen after each round
"""

from constructions.games import hedge as hedge
