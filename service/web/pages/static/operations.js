// Every operation of the pages, and the shape of its answer. A test holds each against the running schema.

/**
 * A GraphQL document, with the types of what it answers and of what it takes.
 * @template Data
 * @template Variables
 * @typedef {{ document: string, data?: Data, variables?: Variables }} Operation
 */

/** @typedef {"OWNER" | "ADMIN" | "MEMBER"} Role */
/** @typedef {{ id: string, label: string }} Provider */
/** @typedef {import("./api.js").Problem} Problem */

/**
 * @typedef {object} InvitePreview
 * @property {string} communityName
 * @property {string} inviterName
 * @property {string} maskedEmail
 * @property {Role} role
 * @property {string | null} message
 * @property {string} linkExpiresAt
 * @property {Provider[]} providers
 */

/**
 * @typedef {object} Acceptance
 * @property {string} id
 * @property {string} status
 * @property {string} communityName
 * @property {{ id: string, community: { id: string } } | null} membership
 * @property {string} maskedEmail
 * @property {string | null} signedInEmail
 * @property {Provider | null} provider
 * @property {string} message
 * @property {boolean} canRetry
 * @property {string | null} reason
 * @property {boolean} canRequestOtherAddress
 * @property {boolean} otherAddressRequested
 */

/** @typedef {{ invitePreview: InvitePreview | null, acceptance: Acceptance | null, providers: Provider[] }} Opened */
/** @typedef {{ providerId: string, token?: string, acceptanceId?: string, returnTo: string }} AcceptInput */
/** @typedef {{ __typename: "AcceptInviteStarted", acceptanceId: string, authorizationUrl: string }} AcceptStarted */

const ACCEPTANCE = `id status communityName membership { id community { id } } maskedEmail signedInEmail
  provider { id label } message canRetry reason canRequestOtherAddress otherAddressRequested`;

/** @type {Operation<Opened, { token: string | null, acceptanceId: string | null }>} */
export const OPEN = {
  document: `query Open($token: String, $acceptanceId: ID) {
    invitePreview(token: $token) {
      communityName inviterName maskedEmail role message linkExpiresAt providers { id label }
    }
    acceptance(id: $acceptanceId) { ${ACCEPTANCE} }
    providers { id label }
  }`,
};

/** @type {Operation<{ acceptance: Acceptance | null }, { acceptanceId: string }>} */
export const LOOK_AGAIN = {
  document: `query LookAgain($acceptanceId: ID) { acceptance(id: $acceptanceId) { ${ACCEPTANCE} } }`,
};

/** @type {Operation<{ acceptInvite: AcceptStarted | Problem }, { input: AcceptInput }>} */
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

/**
 * @typedef {{ __typename: "ConfirmAcceptanceSuccess", acceptance: Acceptance }} Confirmed
 * @typedef {Problem & { triesLeft?: number }} NotConfirmed
 */
/** @type {Operation<{ confirmAcceptance: Confirmed | NotConfirmed }, { input: { acceptanceId: string, code: string } }>} */
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

/** @typedef {{ __typename: "RequestOtherAddressSuccess", acceptance: Acceptance }} OtherAddressRequested */
/** @type {Operation<{ requestOtherAddress: OtherAddressRequested | Problem }, { input: { acceptanceId: string } }>} */
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

/** @typedef {{ __typename: "DeclineInviteSuccess", communityName: string }} Declined */
/** @type {Operation<{ declineInvite: Declined | Problem }, { input: { token?: string, block: boolean } }>} */
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

/** @typedef {{ __typename: "RequestFreshLinkAnswer", message: string }} FreshLinkAnswer */
/** @type {Operation<{ requestFreshLink: FreshLinkAnswer | Problem }, { input: { token?: string } }>} */
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

/** @typedef {{ id: string, name: string | null, email: string | null }} Member */
/** @typedef {{ id: string, role: Role, community: { id: string, name: string, memberCount: number } }} OwnMembership */
/** @typedef {{ member: Member, memberships: OwnMembership[], mayCreateCommunities: boolean }} Viewer */
/** @typedef {{ status: string, provider: Provider | null, message: string }} SignInOutcome */

/** @type {Operation<{ viewer: Viewer | null, signInOutcome: SignInOutcome | null, providers: Provider[] }, {}>} */
export const WHO = {
  document: `query Who {
    viewer {
      member { id name email } mayCreateCommunities
      memberships { id role community { id name memberCount } }
    }
    signInOutcome { status provider { id label } message }
    providers { id label }
  }`,
};

/** @typedef {{ __typename: "SignInStarted", authorizationUrl: string }} SignInStarted */
/** @typedef {{ input: { providerId: string, returnTo: string } }} SignInVariables */

const STARTED = `__typename
      ... on SignInStarted { authorizationUrl }
      ... on Problem { message }
      ... on RateLimited { retryAfterSeconds }`;

/** @type {Operation<{ signIn: SignInStarted | Problem }, SignInVariables>} */
export const SIGN_IN = {
  document: `mutation SignIn($input: SignInInput!) { signIn(input: $input) { ${STARTED} } }`,
};

/** @type {Operation<{ linkIdentity: SignInStarted | Problem }, SignInVariables>} */
export const LINK_IDENTITY = {
  document: `mutation LinkIdentity($input: LinkIdentityInput!) { linkIdentity(input: $input) { ${STARTED} } }`,
};

/** @typedef {{ everywhere?: boolean, sessionId?: string, accessTokens?: boolean }} SignOutInput */
/** @typedef {{ __typename: "SignOutSuccess", signedOut: number }} SignedOut */
/** @type {Operation<{ signOut: SignedOut | Problem }, { input: SignOutInput }>} */
export const SIGN_OUT = {
  document: `mutation SignOut($input: SignOutInput) {
    signOut(input: $input) { __typename ... on SignOutSuccess { signedOut } ... on Problem { message } }
  }`,
};

/**
 * @typedef {object} Identity
 * @property {string} id
 * @property {Provider | null} provider
 * @property {string | null} email
 * @property {string} linkedAt
 * @property {string | null} lastUsedAt
 */
/**
 * @typedef {object} Session
 * @property {string} id
 * @property {boolean} current
 * @property {string} createdAt
 * @property {string} lastSeenAt
 * @property {Provider | null} provider
 * @property {string | null} userAgent
 */
/**
 * @typedef {object} AccessToken
 * @property {string} id
 * @property {string} name
 * @property {string[]} scopes
 * @property {string[]} communityIds
 * @property {string} createdAt
 * @property {string} expiresAt
 * @property {string | null} lastUsedAt
 * @property {Role} highestRole
 */
/**
 * @typedef {object} Own
 * @property {Identity[]} identities
 * @property {Session[]} sessions
 * @property {AccessToken[]} accessTokens
 */
/** @typedef {{ viewer: Own | null, providers: Provider[] }} Account */

const TOKEN = `id name scopes communityIds createdAt expiresAt lastUsedAt highestRole`;

/** @type {Operation<Account, {}>} */
export const ACCOUNT = {
  document: `query Account {
    viewer {
      identities { id provider { id label } email linkedAt lastUsedAt }
      sessions { id current createdAt lastSeenAt provider { id label } userAgent }
      accessTokens { ${TOKEN} }
    }
    providers { id label }
  }`,
};

/**
 * @typedef {object} TokenInput
 * @property {string} name
 * @property {string[]} scopes
 * @property {string[]} communityIds
 * @property {number} expiresInDays
 * @property {string} highestRole
 */
/** @typedef {{ __typename: "CreateAccessTokenSuccess", token: string, accessToken: AccessToken }} TokenCreated */
/** @type {Operation<{ createAccessToken: TokenCreated | Problem }, { input: TokenInput }>} */
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

/** @typedef {{ accessTokenId: string, revokeInvitations: boolean }} TokenToRevoke */
/** @typedef {{ __typename: "RevokeAccessTokenSuccess", revokedAccessTokenId: string }} TokenRevoked */
/** @type {Operation<{ revokeAccessToken: TokenRevoked | Problem }, { input: TokenToRevoke }>} */
export const REVOKE_TOKEN = {
  document: `mutation RevokeAccessToken($input: RevokeAccessTokenInput!) {
    revokeAccessToken(input: $input) {
      __typename
      ... on RevokeAccessTokenSuccess { revokedAccessTokenId }
      ... on Problem { message }
    }
  }`,
};

/** @typedef {{ __typename: "CreateCommunitySuccess", community: { id: string, name: string } }} Created */
/** @type {Operation<{ createCommunity: Created | Problem }, { input: { name: string } }>} */
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

/**
 * @typedef {object} Policy
 * @property {number} linkMinutes
 * @property {number} invitationDays
 * @property {string[]} allowedEmailDomains
 * @property {number | null} seatLimit
 * @property {string | null} locale
 */
/**
 * @typedef {object} Invitation
 * @property {string} id
 * @property {string} email
 * @property {Role} role
 * @property {string} status
 * @property {string | null} blockedReason
 * @property {string} delivery
 * @property {string | null} deliveryReason
 * @property {string} createdAt
 * @property {string} expiresAt
 * @property {string | null} lastSentAt
 * @property {string | null} deliveredAt
 * @property {string | null} acceptedAt
 * @property {string | null} declinedAt
 * @property {string | null} revokedAt
 * @property {string | null} proposedEmail
 */
/**
 * @template Node
 * @typedef {{ nodes: Node[], pageInfo: { hasNextPage: boolean, endCursor: string | null }, totalCount: number }} Page
 */
/**
 * @typedef {object} Community
 * @property {string} id
 * @property {string} name
 * @property {Role} viewerRole
 * @property {number} memberCount
 * @property {Policy} policy
 */

const ROW = `id email role status blockedReason delivery deliveryReason createdAt expiresAt lastSentAt deliveredAt
  acceptedAt declinedAt revokedAt proposedEmail`;

const PLACE = `id name viewerRole memberCount policy { linkMinutes invitationDays allowedEmailDomains seatLimit locale }`;

/** Who asks, with every list: null when the session has ended meanwhile, and the community is then null for that reason. */
const WHO_ASKS = `viewer { member { id } }`;

/** @typedef {{ id: string, first: number, after: string | null }} PageWanted */
/** @typedef {{ viewer: { member: { id: string } } | null }} Asked */

/**
 * @typedef {object} InvitationFilter
 * @property {string[]} [statuses]
 * @property {string[]} [deliveries]
 * @property {string[]} [roles]
 * @property {string} [emailContains]
 */
/** @typedef {{ pending: number, accepted: number, declined: number, revoked: number, expired: number }} Counts */
/** @typedef {Community & { invitationCounts: Counts | null, invitations: Page<Invitation> | null }} WithInvitations */
/** @type {Operation<Asked & { community: WithInvitations | null }, PageWanted & { filter: InvitationFilter }>} */
export const INVITATIONS = {
  document: `query Invitations($id: ID!, $filter: InvitationFilter, $first: Int!, $after: String) {
    ${WHO_ASKS}
    community(id: $id) {
      ${PLACE} invitationCounts { pending accepted declined revoked expired }
      invitations(filter: $filter, first: $first, after: $after) {
        nodes { ${ROW} } pageInfo { hasNextPage endCursor } totalCount
      }
    }
  }`,
};

/** @typedef {{ memberCount: number, viewerRole: Role, invitationCounts: Counts, invitations: { totalCount: number } }} Tally */
/** @type {Operation<{ community: Tally | null }, { id: string, filter: InvitationFilter }>} */
export const TALLY = {
  document: `query Tally($id: ID!, $filter: InvitationFilter) {
    community(id: $id) {
      memberCount viewerRole invitationCounts { pending accepted declined revoked expired }
      invitations(filter: $filter) { totalCount }
    }
  }`,
};

/** @typedef {{ startsAt: string, invited: number, delivered: number, opened: number, accepted: number }} FunnelWeek */
/** @type {Operation<{ community: { invitationFunnel: FunnelWeek[] | null } | null }, { id: string, weeks: number }>} */
export const FUNNEL = {
  document: `query Funnel($id: ID!, $weeks: Int!) {
    community(id: $id) { invitationFunnel(weeks: $weeks) { startsAt invited delivered opened accepted } }
  }`,
};

/** @type {Operation<{ invitationChanged: Invitation }, { communityId: string }>} */
export const INVITATION_CHANGED = {
  document: `subscription InvitationChanged($communityId: ID!) {
    invitationChanged(communityId: $communityId) { ${ROW} }
  }`,
};

/** @typedef {{ id: string, role: Role, joinedAt: string, viewerCanChange: boolean, member: Member }} Membership */
/** @typedef {Community & { memberships: Page<Membership> }} WithMembers */
/** @type {Operation<Asked & { community: WithMembers | null }, PageWanted>} */
export const MEMBERS = {
  document: `query Members($id: ID!, $first: Int!, $after: String) {
    ${WHO_ASKS}
    community(id: $id) {
      ${PLACE}
      memberships(first: $first, after: $after) {
        nodes { id role joinedAt viewerCanChange member { id name email } } pageInfo { hasNextPage endCursor } totalCount
      }
    }
  }`,
};

/** @typedef {{ __typename: "ChangeRoleSuccess", membership: { id: string, role: Role } }} RoleChanged */
/** @type {Operation<{ changeRole: RoleChanged | Problem }, { input: { membershipId: string, role: Role } }>} */
export const CHANGE_ROLE = {
  document: `mutation ChangeRole($input: ChangeRoleInput!) {
    changeRole(input: $input) {
      __typename ... on ChangeRoleSuccess { membership { id role } } ... on Problem { message }
    }
  }`,
};

/** @typedef {{ __typename: "RemoveMemberSuccess", removedMembershipId: string }} MemberRemoved */
/** @type {Operation<{ removeMember: MemberRemoved | Problem }, { input: { membershipId: string } }>} */
export const REMOVE_MEMBER = {
  document: `mutation RemoveMember($input: RemoveMemberInput!) {
    removeMember(input: $input) {
      __typename ... on RemoveMemberSuccess { removedMembershipId } ... on Problem { message }
    }
  }`,
};

/** @typedef {{ communityId: string } & Partial<Policy>} PolicyInput */
/** @typedef {{ __typename: "UpdateInvitationPolicySuccess", community: Community }} PolicyUpdated */
/** @type {Operation<{ updateInvitationPolicy: PolicyUpdated | Problem }, { input: PolicyInput }>} */
export const UPDATE_POLICY = {
  document: `mutation UpdatePolicy($input: UpdateInvitationPolicyInput!) {
    updateInvitationPolicy(input: $input) {
      __typename
      ... on UpdateInvitationPolicySuccess { community { ${PLACE} } }
      ... on Problem { message }
      ... on InvalidInput { field }
    }
  }`,
};

/** @type {Operation<Asked & { community: Community | null }, { id: string }>} */
export const PLACE_ALONE = {
  document: `query Place($id: ID!) { ${WHO_ASKS} community(id: $id) { ${PLACE} } }`,
};

/** @typedef {{ id: string, kind: string, at: string, summary: string, times: number, lastAt: string | null }} AuditEvent */
/** @typedef {AuditEvent & { actor: Member | null, invitation: { id: string, email: string } | null }} LogEntry */
/** @typedef {{ kinds?: string[], actorId?: string, after?: string, before?: string }} AuditFilter */
/** @typedef {{ nodes: LogEntry[], pageInfo: { hasNextPage: boolean, endCursor: string | null } }} LogPage */
/** @typedef {Community & { auditLog: LogPage | null }} WithLog */
/** @type {Operation<Asked & { community: WithLog | null }, PageWanted & { filter: AuditFilter }>} */
export const AUDIT = {
  document: `query Audit($id: ID!, $filter: AuditFilter, $first: Int!, $after: String) {
    ${WHO_ASKS}
    community(id: $id) {
      ${PLACE}
      auditLog(filter: $filter, first: $first, after: $after) {
        nodes { id kind at summary times lastAt actor { id name email } invitation { id email } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }`,
};

/**
 * @typedef {object} Detail
 * @property {string | null} message
 * @property {string | null} locale
 * @property {Member | null} inviter
 * @property {Member | null} revokedBy
 * @property {Member | null} acceptedBy
 * @property {boolean} canResend
 * @property {string | null} canResendAt
 * @property {boolean} canRevoke
 * @property {{ id: string, name: string, viewerRole: Role }} community
 * @property {{ nodes: AuditEvent[], pageInfo: { hasNextPage: boolean, endCursor: string | null } }} timeline
 */
/** @type {Operation<Asked & { invitation: (Invitation & Detail) | null }, PageWanted>} */
export const INVITATION = {
  document: `query Invitation($id: ID!, $first: Int!, $after: String) {
    ${WHO_ASKS}
    invitation(id: $id) {
      ${ROW} message locale inviter { id name email } revokedBy { id name email } acceptedBy { id name email }
      canResend canResendAt canRevoke community { id name viewerRole }
      timeline(first: $first, after: $after) { nodes { id kind at summary times lastAt } pageInfo { hasNextPage endCursor } }
    }
  }`,
};

/** @typedef {{ communityId: string, email: string, role: Role, message?: string, locale?: string }} InviteInput */
/** @typedef {{ __typename: "InviteMemberSuccess", invitation: Invitation }} Invited */
/** @typedef {Problem & { invitation?: { id: string }, membership?: { id: string } }} NotInvited */
/** @type {Operation<{ inviteMember: Invited | NotInvited }, { input: InviteInput }>} */
export const INVITE = {
  document: `mutation Invite($input: InviteMemberInput!) {
    inviteMember(input: $input) {
      __typename
      ... on InviteMemberSuccess { invitation { ${ROW} } }
      ... on Problem { message }
      ... on AlreadyInvited { invitation { id } }
      ... on AlreadyMember { membership { id } }
      ... on InvalidInput { field }
      ... on RateLimited { retryAfterSeconds }
    }
  }`,
};

/** @typedef {{ email: string, role: Role, message?: string, locale?: string }} InviteeInput */
/** @typedef {{ email: string, result: Invited | NotInvited }} Outcome */
/** @typedef {{ __typename: "InviteMembersSuccess", outcomes: Outcome[] }} ManyInvited */
/** @type {Operation<{ inviteMembers: ManyInvited | Problem }, { input: { communityId: string, invitees: InviteeInput[] } }>} */
export const INVITE_MANY = {
  document: `mutation InviteMany($input: InviteMembersInput!) {
    inviteMembers(input: $input) {
      __typename
      ... on InviteMembersSuccess {
        outcomes {
          email
          result {
            __typename
            ... on InviteMemberSuccess { invitation { ${ROW} } }
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

/** @typedef {{ __typename: "ResendInviteSuccess", invitation: { id: string } }} Resent */
/** @type {Operation<{ resendInvite: Resent | Problem }, { input: { invitationId: string } }>} */
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

/** @typedef {{ __typename: "RevokeInviteSuccess", invitation: { id: string } }} Revoked */
/** @type {Operation<{ revokeInvite: Revoked | Problem }, { input: { invitationId: string } }>} */
export const REVOKE = {
  document: `mutation Revoke($input: RevokeInviteInput!) {
    revokeInvite(input: $input) {
      __typename ... on RevokeInviteSuccess { invitation { id } } ... on Problem { message }
    }
  }`,
};
