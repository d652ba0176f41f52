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
 */

/** @typedef {{ invitePreview: InvitePreview | null, acceptance: Acceptance | null, providers: Provider[] }} Opened */
/** @typedef {{ providerId: string, token?: string, acceptanceId?: string, returnTo: string }} AcceptInput */
/** @typedef {{ __typename: "AcceptInviteStarted", acceptanceId: string, authorizationUrl: string }} AcceptStarted */

const ACCEPTANCE = `id status communityName membership { id community { id } } maskedEmail signedInEmail
  provider { id label } message canRetry`;

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
/** @typedef {{ member: Member, memberships: OwnMembership[] }} Viewer */
/** @typedef {{ status: string, provider: Provider | null, message: string }} SignInOutcome */

/** @type {Operation<{ viewer: Viewer | null, signInOutcome: SignInOutcome | null, providers: Provider[] }, {}>} */
export const WHO = {
  document: `query Who {
    viewer { member { id name email } memberships { id role community { id name memberCount } } }
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

/** @typedef {{ __typename: "SignOutSuccess", signedOut: number }} SignedOut */
/** @type {Operation<{ signOut: SignedOut | Problem }, { input: { everywhere?: boolean, sessionId?: string } }>} */
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
/** @typedef {{ viewer: { identities: Identity[], sessions: Session[] } | null, providers: Provider[] }} Account */

/** @type {Operation<Account, {}>} */
export const ACCOUNT = {
  document: `query Account {
    viewer {
      identities { id provider { id label } email linkedAt lastUsedAt }
      sessions { id current createdAt lastSeenAt provider { id label } userAgent }
    }
    providers { id label }
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
  acceptedAt declinedAt revokedAt`;

const PLACE = `id name viewerRole memberCount policy { linkMinutes invitationDays allowedEmailDomains seatLimit }`;

/** @typedef {Community & { invitations: Page<Invitation> | null }} WithInvitations */
/** @type {Operation<{ community: WithInvitations | null }, { id: string, first: number, after: string | null }>} */
export const INVITATIONS = {
  document: `query Invitations($id: ID!, $first: Int!, $after: String) {
    community(id: $id) {
      ${PLACE}
      invitations(first: $first, after: $after) {
        nodes { ${ROW} } pageInfo { hasNextPage endCursor } totalCount
      }
    }
  }`,
};

/** @typedef {{ id: string, role: Role, joinedAt: string, member: Member }} Membership */
/** @typedef {Community & { memberships: Page<Membership> }} WithMembers */
/** @type {Operation<{ community: WithMembers | null }, { id: string, first: number, after: string | null }>} */
export const MEMBERS = {
  document: `query Members($id: ID!, $first: Int!, $after: String) {
    community(id: $id) {
      ${PLACE}
      memberships(first: $first, after: $after) {
        nodes { id role joinedAt member { id name email } } pageInfo { hasNextPage endCursor } totalCount
      }
    }
  }`,
};

/** @typedef {{ id: string, kind: string, at: string, summary: string }} AuditEvent */
/**
 * @typedef {object} Detail
 * @property {string | null} message
 * @property {string | null} locale
 * @property {Member | null} inviter
 * @property {Member | null} revokedBy
 * @property {Member | null} acceptedBy
 * @property {string | null} proposedEmail
 * @property {boolean} canResend
 * @property {string | null} canResendAt
 * @property {boolean} canRevoke
 * @property {{ id: string, name: string, viewerRole: Role }} community
 * @property {{ nodes: AuditEvent[], pageInfo: { hasNextPage: boolean, endCursor: string | null } }} timeline
 */
/** @type {Operation<{ invitation: (Invitation & Detail) | null }, { id: string, first: number }>} */
export const INVITATION = {
  document: `query Invitation($id: ID!, $first: Int!) {
    invitation(id: $id) {
      ${ROW} message locale inviter { id name email } revokedBy { id name email } acceptedBy { id name email }
      proposedEmail canResend canResendAt canRevoke community { id name viewerRole }
      timeline(first: $first) { nodes { id kind at summary } pageInfo { hasNextPage endCursor } }
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
