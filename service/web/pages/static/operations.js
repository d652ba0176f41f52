// The GraphQL operations of the pages. `make operation-types` generates their types (operation-types.d.ts), and a test
// validates them against the schema.

/** @import * as types from "../operation-types" */

/**
 * A GraphQL document with the types of its data and its variables.
 * @template Data
 * @template Variables
 * @typedef {{ document: string, data?: Data, variables?: Variables }} Operation
 */

/** @typedef {types.Acceptance} Acceptance */
/** @typedef {types.AccessToken} AccessToken */
/** @typedef {types.AccessTokenScope} AccessTokenScope */
/** @typedef {types.InvitationAuditEvent} AuditEvent */
/** @typedef {types.AuditFilter} AuditFilter */
/** @typedef {types.UpdatePolicyCommunity} Community */
/** @typedef {types.InvitationsCommunity} CommunityWithInvitations */
/** @typedef {types.AuditCommunity} CommunityWithLog */
/** @typedef {types.MembersCommunity} CommunityWithMembers */
/** @typedef {types.Delivery} Delivery */
/** @typedef {types.InvitationWeek} FunnelWeek */
/** @typedef {types.EarlierInvitationInvitation} EarlierInvitation */
/** @typedef {types.Identity} Identity */
/** @typedef {types.InvitationsInvitation} Invitation */
/** @typedef {types.InvitationCounts} InvitationCounts */
/** @typedef {types.InvitationInvitation} InvitationDetails */
/** @typedef {types.InvitationFilter} InvitationFilter */
/** @typedef {types.InvitationStatus} InvitationStatus */
/** @typedef {types.InvitePreview} InvitePreview */
/** @typedef {types.AuditAuditEvent} LogEntry */
/** @typedef {types.AuditAuditEventConnection} LogPage */
/** @typedef {types.SessionMember} Member */
/** @typedef {types.MembersMembership} Membership */
/** @typedef {types.InviteeOutcome} Outcome */
/** @typedef {types.SessionMembership} OwnMembership */
/** @typedef {types.InvitationPolicy} Policy */
/** @typedef {types.Provider} Provider */
/** @typedef {types.InvitationQuota} Quota */
/** @typedef {types.Role} Role */
/** @typedef {types.Session} Session */
/** @typedef {types.SignInOutcome} SignInOutcome */
/** @typedef {types.SessionViewer} Viewer */

const ACCEPTANCE = `id status communityName membership { id community { id } } maskedEmail signedInEmail
  provider { id label } message canRetry reason canRequestOtherAddress otherAddressRequested`;

/** @type {Operation<types.OpenData, types.OpenVariables>} */
export const OPEN = {
  document: `query Open($token: String, $acceptanceId: ID) {
    invitePreview(token: $token, acceptanceId: $acceptanceId) {
      communityName inviterName maskedEmail role message linkExpiresAt providers { id label }
    }
    acceptance(id: $acceptanceId) { ${ACCEPTANCE} }
    providers { id label }
  }`,
};

/** @type {Operation<types.AcceptanceStatusData, types.AcceptanceStatusVariables>} */
export const ACCEPTANCE_STATUS = {
  document: `query AcceptanceStatus($acceptanceId: ID) { acceptance(id: $acceptanceId) { ${ACCEPTANCE} } }`,
};

/** @type {Operation<types.AcceptData, types.AcceptVariables>} */
export const ACCEPT = {
  document: `mutation Accept($input: AcceptInviteInput!) {
    acceptInvite(input: $input) {
      __typename
      ... on AcceptInviteStarted { acceptanceId authorizationUrl }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.ConfirmData, types.ConfirmVariables>} */
export const CONFIRM = {
  document: `mutation Confirm($input: ConfirmAcceptanceInput!) {
    confirmAcceptance(input: $input) {
      __typename
      ... on ConfirmAcceptanceSuccess { acceptance { ${ACCEPTANCE} } }
      ... on Problem { message }
      ... on InvalidCode { triesLeft }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.OtherAddressData, types.OtherAddressVariables>} */
export const OTHER_ADDRESS = {
  document: `mutation OtherAddress($input: RequestOtherAddressInput!) {
    requestOtherAddress(input: $input) {
      __typename
      ... on RequestOtherAddressSuccess { acceptance { ${ACCEPTANCE} } }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.DeclineData, types.DeclineVariables>} */
export const DECLINE = {
  document: `mutation Decline($input: DeclineInviteInput!) {
    declineInvite(input: $input) {
      __typename
      ... on DeclineInviteSuccess { communityName }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.FreshLinkData, types.FreshLinkVariables>} */
export const FRESH_LINK = {
  document: `mutation FreshLink($input: RequestFreshLinkInput!) {
    requestFreshLink(input: $input) {
      __typename
      ... on RequestFreshLinkAnswer { message }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

// ---------------------------------------------------------------------------------------------------------- the console


const OWN_MEMBERSHIP = `id role community { id name memberCount }`;

/** @type {Operation<types.SessionData, types.SessionVariables>} */
export const SESSION = {
  document: `query Session($signInId: ID) {
    viewer {
      member { id name email displayEmail } mayCreateCommunities
      memberships { ${OWN_MEMBERSHIP} }
    }
    signInOutcome(id: $signInId) { status provider { id label } message }
    providers { id label }
  }`,
};

/** @type {Operation<types.OwnCommunitiesData, types.OwnCommunitiesVariables>} */
export const OWN_COMMUNITIES = {
  document: `query OwnCommunities { viewer { member { id } memberships { ${OWN_MEMBERSHIP} } } }`,
};

/** @type {Operation<types.CurrentViewerData, types.CurrentViewerVariables>} */
export const CURRENT_VIEWER = { document: `query CurrentViewer { viewer { member { id } } }` };

const SIGN_IN_STARTED = `__typename
      ... on SignInStarted { signInId authorizationUrl }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }`;

/** @type {Operation<types.SignInData, types.SignInVariables>} */
export const SIGN_IN = {
  document: `mutation SignIn($input: SignInInput!) { signIn(input: $input) { ${SIGN_IN_STARTED} } }`,
};

/** @type {Operation<types.LinkIdentityData, types.LinkIdentityVariables>} */
export const LINK_IDENTITY = {
  document: `mutation LinkIdentity($input: LinkIdentityInput!) { linkIdentity(input: $input) { ${SIGN_IN_STARTED} } }`,
};

/** @type {Operation<types.SignOutData, types.SignOutVariables>} */
export const SIGN_OUT = {
  document: `mutation SignOut($input: SignOutInput) {
    signOut(input: $input) { __typename ... on SignOutSuccess { signedOut } ... on Problem { message } }
  }`,
};


const TOKEN = `id name scopes communityIds createdAt expiresAt lastUsedAt highestRole`;

/** @type {Operation<types.AccountData, types.AccountVariables>} */
export const ACCOUNT = {
  document: `query Account {
    viewer {
      identities { id provider { id label } email displayEmail linkedAt lastUsedAt }
      sessions { id current createdAt lastSeenAt provider { id label } userAgent }
      accessTokens { ${TOKEN} }
    }
    providers { id label }
  }`,
};

/** @type {Operation<types.CreateAccessTokenData, types.CreateAccessTokenVariables>} */
export const CREATE_TOKEN = {
  document: `mutation CreateAccessToken($input: CreateAccessTokenInput!) {
    createAccessToken(input: $input) {
      __typename
      ... on CreateAccessTokenSuccess { token accessToken { ${TOKEN} } }
      ... on Problem { message }
      ... on InvalidInput { field }
    }
  }`,
};

/** @type {Operation<types.RevokeAccessTokenData, types.RevokeAccessTokenVariables>} */
export const REVOKE_TOKEN = {
  document: `mutation RevokeAccessToken($input: RevokeAccessTokenInput!) {
    revokeAccessToken(input: $input) {
      __typename
      ... on RevokeAccessTokenSuccess { revokedAccessTokenId }
      ... on Problem { message }
    }
  }`,
};

/** @type {Operation<types.CreateCommunityData, types.CreateCommunityVariables>} */
export const CREATE_COMMUNITY = {
  document: `mutation CreateCommunity($input: CreateCommunityInput!) {
    createCommunity(input: $input) {
      __typename
      ... on CreateCommunitySuccess { community { id name } }
      ... on Problem { message }
      ... on InvalidInput { field }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};


const INVITATION_ROW = `id email displayEmail role status blockedReason delivery deliveryReason createdAt expiresAt lastSentAt deliveredAt
  acceptedAt declinedAt revokedAt proposedEmail displayProposedEmail`;

const COMMUNITY = `id name viewerRole memberCount policy { linkMinutes invitationDays allowedEmailDomains displayEmailDomains seatLimit locale }`;

/** Part of every query for a community: `viewer` is null after the session has ended. */
const VIEWER = `viewer { member { id } }`;


/** @type {Operation<types.InvitationsData, types.InvitationsVariables>} */
export const INVITATIONS = {
  document: `query Invitations($id: ID!, $filter: InvitationFilter, $first: Int!, $after: String) {
    ${VIEWER}
    community(id: $id) {
      ${COMMUNITY} invitationCounts { pending accepted declined revoked expired }
      invitations(filter: $filter, first: $first, after: $after) {
        nodes { ${INVITATION_ROW} } pageInfo { hasNextPage endCursor } totalCount
      }
    }
  }`,
};

/** @type {Operation<types.CountsData, types.CountsVariables>} */
export const COUNTS = {
  document: `query Counts($id: ID!, $filter: InvitationFilter) {
    community(id: $id) {
      memberCount viewerRole invitationCounts { pending accepted declined revoked expired }
      invitations(filter: $filter) { totalCount }
    }
  }`,
};

/** @type {Operation<types.FunnelData, types.FunnelVariables>} */
export const FUNNEL = {
  document: `query Funnel($id: ID!, $weeks: Int!) {
    community(id: $id) { invitationFunnel(weeks: $weeks) { startsAt invited sent delivered opened accepted } }
  }`,
};

/** @type {Operation<types.InvitationChangedData, types.InvitationChangedVariables>} */
export const INVITATION_CHANGED = {
  document: `subscription InvitationChanged($communityId: ID!) {
    invitationChanged(communityId: $communityId) { ${INVITATION_ROW} }
  }`,
};

/** @type {Operation<types.MembersData, types.MembersVariables>} */
export const MEMBERS = {
  document: `query Members($id: ID!, $first: Int!, $after: String) {
    ${VIEWER}
    community(id: $id) {
      ${COMMUNITY}
      memberships(first: $first, after: $after) {
        nodes { id role joinedAt viewerCanChange member { id name email displayEmail } } pageInfo { hasNextPage endCursor } totalCount
      }
    }
  }`,
};

/** @type {Operation<types.ChangeRoleData, types.ChangeRoleVariables>} */
export const CHANGE_ROLE = {
  document: `mutation ChangeRole($input: ChangeRoleInput!) {
    changeRole(input: $input) {
      __typename ... on ChangeRoleSuccess { membership { id role } } ... on Problem { message }
    }
  }`,
};

/** @type {Operation<types.RemoveMemberData, types.RemoveMemberVariables>} */
export const REMOVE_MEMBER = {
  document: `mutation RemoveMember($input: RemoveMemberInput!) {
    removeMember(input: $input) {
      __typename ... on RemoveMemberSuccess { removedMembershipId } ... on Problem { message }
    }
  }`,
};

/** @type {Operation<types.UpdatePolicyData, types.UpdatePolicyVariables>} */
export const UPDATE_POLICY = {
  document: `mutation UpdatePolicy($input: UpdateInvitationPolicyInput!) {
    updateInvitationPolicy(input: $input) {
      __typename
      ... on UpdateInvitationPolicySuccess { community { ${COMMUNITY} } }
      ... on Problem { message }
      ... on InvalidInput { field }
    }
  }`,
};

/** @type {Operation<types.CommunityData, types.CommunityVariables>} */
export const COMMUNITY_ONLY = {
  document: `query Community($id: ID!) { ${VIEWER} community(id: $id) { ${COMMUNITY} } }`,
};

/** @type {Operation<types.InvitingData, types.InvitingVariables>} */
export const INVITING = {
  document: `query Inviting($id: ID!) {
    ${VIEWER} community(id: $id) { ${COMMUNITY} quota { byYou byCommunity resetsAt } }
  }`,
};

/** @type {Operation<types.AuditData, types.AuditVariables>} */
export const AUDIT = {
  document: `query Audit($id: ID!, $filter: AuditFilter, $first: Int!, $after: String) {
    ${VIEWER}
    community(id: $id) {
      ${COMMUNITY}
      auditLog(filter: $filter, first: $first, after: $after) {
        nodes { id kind at summary times lastAt actor { id name displayEmail } invitation { id displayEmail } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }`,
};

/** @type {Operation<types.InvitationData, types.InvitationVariables>} */
export const INVITATION = {
  document: `query Invitation($id: ID!, $first: Int!, $after: String) {
    ${VIEWER}
    invitation(id: $id) {
      ${INVITATION_ROW} message locale inviter { id name displayEmail } revokedBy { id name displayEmail } acceptedBy { id name displayEmail }
      canResend canResendAt canRevoke erasedAt community { id name viewerRole }
      timeline(first: $first, after: $after) { nodes { id kind at summary times lastAt } pageInfo { hasNextPage endCursor } }
    }
  }`,
};

/** @type {Operation<types.EarlierInvitationData, types.EarlierInvitationVariables>} */
export const EARLIER_INVITATION = {
  document: `query EarlierInvitation($id: ID!) { invitation(id: $id) { displayEmail role message locale community { id } } }`,
};

/** @type {Operation<types.InviteData, types.InviteVariables>} */
export const INVITE = {
  document: `mutation Invite($input: InviteMemberInput!) {
    inviteMember(input: $input) {
      __typename
      ... on InviteMemberSuccess { invitation { ${INVITATION_ROW} } }
      ... on Problem { message }
      ... on AlreadyInvited { invitation { id } }
      ... on AlreadyMember { membership { id } }
      ... on InvalidInput { field }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.InviteManyData, types.InviteManyVariables>} */
export const INVITE_MANY = {
  document: `mutation InviteMany($input: InviteMembersInput!) {
    inviteMembers(input: $input) {
      __typename
      ... on InviteMembersSuccess {
        outcomes {
          email
          result {
            __typename
            ... on InviteMemberSuccess { invitation { ${INVITATION_ROW} } }
            ... on Problem { message }
            ... on AlreadyInvited { invitation { id } }
            ... on RateLimited { retryAfterSeconds }
          }
        }
      }
      ... on Problem { message }
      ... on InvalidInput { field }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.ResendData, types.ResendVariables>} */
export const RESEND = {
  document: `mutation Resend($input: ResendInviteInput!) {
    resendInvite(input: $input) {
      __typename
      ... on ResendInviteSuccess { invitation { id } }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @type {Operation<types.RevokeData, types.RevokeVariables>} */
export const REVOKE = {
  document: `mutation Revoke($input: RevokeInviteInput!) {
    revokeInvite(input: $input) {
      __typename ... on RevokeInviteSuccess { invitation { id } } ... on Problem { message }
    }
  }`,
};
