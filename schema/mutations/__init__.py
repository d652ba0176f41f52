"""The mutations, one module for each subject.

A mutation calls the service once and returns the member of its result union that means success. The service raises an error for
an expected failure; the handlers of `schema.problems` convert it into another member.
"""

from strawberry.tools import merge_types

from schema.mutations.acceptance import AcceptanceMutations
from schema.mutations.access_tokens import AccessTokenMutations
from schema.mutations.communities import CommunityMutations
from schema.mutations.invitations import InvitationMutations
from schema.mutations.sign_in import SignInMutations

Mutation = merge_types(
    "Mutation",
    (InvitationMutations, AcceptanceMutations, SignInMutations, CommunityMutations, AccessTokenMutations),
)
