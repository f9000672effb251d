"""The true algorithms, in plain NumPy: what the constructed transformers are measured against.

Nothing here knows how a transformer computes; the formulas are those of the definitions, solved directly.
"""

from verify.algorithms.beta_bernoulli import BernoulliThompsonDecoder as BernoulliThompsonDecoder
from verify.algorithms.beta_bernoulli import bernoulli_thompson as bernoulli_thompson
from verify.algorithms.beta_bernoulli import bernoulli_thompson_accuracy as bernoulli_thompson_accuracy
from verify.algorithms.beta_bernoulli import bernoulli_thompson_at as bernoulli_thompson_at
from verify.algorithms.beta_bernoulli import bernoulli_thompson_decoder as bernoulli_thompson_decoder
from verify.algorithms.choice import ChoiceProbabilities as ChoiceProbabilities
from verify.algorithms.choice import along_lines as along_lines
from verify.algorithms.choice import choice_probabilities as choice_probabilities
from verify.algorithms.exponential_weights import HedgeDecoder as HedgeDecoder
from verify.algorithms.exponential_weights import exp3 as exp3
from verify.algorithms.exponential_weights import exp3_decoder as exp3_decoder
from verify.algorithms.exponential_weights import hedge as hedge
from verify.algorithms.exponential_weights import hedge_decoder as hedge_decoder
from verify.algorithms.forgetting import ForgettingDecoder as ForgettingDecoder
from verify.algorithms.forgetting import forgetting_decoder as forgetting_decoder
from verify.algorithms.forgetting import forgetting_linucb as forgetting_linucb
from verify.algorithms.lasso import lasso as lasso
from verify.algorithms.lasso import lasso_minimum as lasso_minimum
from verify.algorithms.lasso import lasso_objective as lasso_objective
from verify.algorithms.lasso import lasso_weights as lasso_weights
from verify.algorithms.linear_bandits import LinUCBDecoder as LinUCBDecoder
from verify.algorithms.linear_bandits import LinUCBValues as LinUCBValues
from verify.algorithms.linear_bandits import decoder as decoder
from verify.algorithms.linear_bandits import linucb as linucb
from verify.algorithms.linear_bandits import linucb_values as linucb_values
from verify.algorithms.matrix_games import Equilibrium as Equilibrium
from verify.algorithms.matrix_games import equilibrium as equilibrium
from verify.algorithms.matrix_games import gap as gap
from verify.algorithms.regression import binary as binary
from verify.algorithms.regression import candidates as candidates
from verify.algorithms.regression import ridge as ridge
from verify.algorithms.regression import validated as validated
from verify.algorithms.tabular import UCBVIDecoder as UCBVIDecoder
from verify.algorithms.tabular import UCBVIValues as UCBVIValues
from verify.algorithms.tabular import ucbvi as ucbvi
from verify.algorithms.tabular import ucbvi_bonus as ucbvi_bonus
from verify.algorithms.tabular import ucbvi_decoder as ucbvi_decoder
from verify.algorithms.tabular import ucbvi_values as ucbvi_values
from verify.algorithms.tabular_exact import ucbvi_exact as ucbvi_exact
from verify.algorithms.temporal_differences import td as td
from verify.algorithms.temporal_differences import td_weights as td_weights
from verify.algorithms.thompson import ThompsonDecoder as ThompsonDecoder
from verify.algorithms.thompson import ThompsonValues as ThompsonValues
from verify.algorithms.thompson import thompson as thompson
from verify.algorithms.thompson import thompson_decoder as thompson_decoder
from verify.algorithms.thompson import thompson_scores as thompson_scores
from verify.algorithms.thompson import thompson_values as thompson_values
