// Generated from schema.graphql and operations.js by `python -m service.dev.operation_types`. Do not edit.

export type AcceptInviteInput = {
  token?: string | null;
  acceptanceId?: string | null;
  providerId: string;
  returnTo?: string | null;
};

export type AcceptanceStatus = "STARTED" | "CODE_REQUIRED" | "ACCEPTED" | "EMAIL_MISMATCH" | "EMAIL_NOT_VERIFIED" | "IDENTITY_CONFLICT" | "ALREADY_MEMBER" | "SEAT_LIMIT_REACHED" | "NOT_ALLOWED" | "LINK_INVALID" | "SIGN_IN_FAILED";

export type AccessTokenScope = "READ" | "INVITE";

export type AuditFilter = {
  kinds?: string[] | null;
  actorId?: string | null;
  after?: string | null;
  before?: string | null;
};

export type ChangeRoleInput = {
  membershipId: string;
  role: Role;
};

export type ConfirmAcceptanceInput = {
  acceptanceId: string;
  code: string;
};

export type CreateAccessTokenInput = {
  name: string;
  scopes: AccessTokenScope[];
  communityIds: string[];
  expiresInDays?: number;
  highestRole?: Role;
};

export type CreateCommunityInput = {
  name: string;
  locale?: string | null;
};

export type DeclineInviteInput = {
  token?: string | null;
  acceptanceId?: string | null;
  block?: boolean;
};

export type Delivery = "QUEUED" | "SENT" | "DELAYED" | "DELIVERED" | "BOUNCED" | "COMPLAINED" | "SUPPRESSED" | "FAILED" | "CANCELLED";

export type InvitationFilter = {
  statuses?: InvitationStatus[] | null;
  deliveries?: Delivery[] | null;
  roles?: Role[] | null;
  emailContains?: string | null;
  createdAfter?: string | null;
  createdBefore?: string | null;
};

export type InvitationStatus = "PENDING" | "ACCEPTED" | "DECLINED" | "REVOKED" | "EXPIRED";

export type InviteMemberInput = {
  communityId: string;
  email: string;
  role?: Role;
  message?: string | null;
  locale?: string | null;
};

export type InviteMembersInput = {
  communityId: string;
  invitees: InviteeInput[];
};

export type InviteeInput = {
  email: string;
  role?: Role;
  message?: string | null;
  locale?: string | null;
};

export type LinkIdentityInput = {
  providerId: string;
  returnTo?: string | null;
  memberId?: string | null;
};

export type RemoveMemberInput = {
  membershipId: string;
};

export type RequestFreshLinkInput = {
  token?: string | null;
  acceptanceId?: string | null;
};

export type RequestOtherAddressInput = {
  acceptanceId: string;
};

export type ResendInviteInput = {
  invitationId: string;
};

export type RevokeAccessTokenInput = {
  accessTokenId: string;
  revokeInvitations?: boolean;
};

export type RevokeInviteInput = {
  invitationId: string;
};

export type Role = "OWNER" | "ADMIN" | "MEMBER";

export type SignInInput = {
  providerId: string;
  returnTo?: string | null;
};

export type SignInStatus = "STARTED" | "SIGNED_IN" | "NOT_INVITED" | "SIGN_IN_FAILED" | "IDENTITY_LINKED" | "IDENTITY_IN_USE";

export type SignOutInput = {
  everywhere?: boolean;
  sessionId?: string | null;
  accessTokens?: boolean;
};

export type UpdateInvitationPolicyInput = {
  communityId: string;
  linkMinutes?: number | null;
  invitationDays?: number | null;
  allowedEmailDomains?: string[] | null;
  seatLimit?: number | null;
  locale?: string | null;
};

export type AcceptInviteResult = 
  | {
      __typename: "AcceptInviteStarted";
      acceptanceId: string;
      authorizationUrl: string;
    }
  | {
      __typename: "InvalidInput";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InviteLinkInvalid";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "ProviderUnavailable";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    }
  | {
      __typename: "UnknownProvider";
      message: string;
      retryAfterSeconds?: undefined;
    };

export type Acceptance = {
  id: string;
  status: AcceptanceStatus;
  communityName: string;
  membership: OpenMembership | null;
  maskedEmail: string;
  signedInEmail: string | null;
  provider: Provider | null;
  message: string;
  canRetry: boolean;
  reason: string | null;
  canRequestOtherAddress: boolean;
  otherAddressRequested: boolean;
};

export type AccessToken = {
  id: string;
  name: string;
  scopes: AccessTokenScope[];
  communityIds: string[];
  createdAt: string;
  expiresAt: string;
  lastUsedAt: string | null;
  highestRole: Role;
};

export type AccountViewer = {
  identities: Identity[];
  sessions: Session[];
  accessTokens: AccessToken[];
};

export type AuditAuditEvent = {
  id: string;
  kind: string;
  at: string;
  summary: string;
  times: number;
  lastAt: string | null;
  actor: AuditMember | null;
  invitation: AuditInvitation | null;
};

export type AuditAuditEventConnection = {
  nodes: AuditAuditEvent[];
  pageInfo: PageInfo;
};

export type AuditCommunity = {
  id: string;
  name: string;
  viewerRole: Role;
  memberCount: number;
  policy: InvitationPolicy;
  auditLog: AuditAuditEventConnection | null;
};

export type AuditInvitation = {
  id: string;
  displayEmail: string;
};

export type AuditMember = {
  id: string;
  name: string | null;
  displayEmail: string | null;
};

export type ChangeRoleMembership = {
  id: string;
  role: Role;
};

export type ChangeRoleResult = 
  | {
      __typename: "ChangeRoleSuccess";
      membership: ChangeRoleMembership;
    }
  | {
      __typename: "LastOwner";
      message: string;
    }
  | {
      __typename: "NotFound";
      message: string;
    }
  | {
      __typename: "NotPermitted";
      message: string;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
    };

export type ConfirmAcceptanceResult = 
  | {
      __typename: "ConfirmAcceptanceSuccess";
      acceptance: Acceptance;
    }
  | {
      __typename: "InvalidCode";
      message: string;
      triesLeft: number;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InviteLinkInvalid";
      message: string;
      retryAfterSeconds?: undefined;
      triesLeft?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
      triesLeft?: undefined;
    };

export type CountsCommunity = {
  memberCount: number;
  viewerRole: Role;
  invitationCounts: InvitationCounts | null;
  invitations: CountsInvitationConnection | null;
};

export type CountsInvitationConnection = {
  totalCount: number;
};

export type CreateAccessTokenResult = 
  | {
      __typename: "CreateAccessTokenSuccess";
      token: string;
      accessToken: AccessToken;
    }
  | {
      __typename: "FreshSignInRequired";
      message: string;
      field?: undefined;
    }
  | {
      __typename: "InvalidInput";
      message: string;
      field: string;
    }
  | {
      __typename: "NotFound";
      message: string;
      field?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      field?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      field?: undefined;
    };

export type CreateCommunityCommunity = {
  id: string;
  name: string;
};

export type CreateCommunityResult = 
  | {
      __typename: "CreateCommunitySuccess";
      community: CreateCommunityCommunity;
    }
  | {
      __typename: "InvalidInput";
      message: string;
      field: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      field?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      field?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
      field?: undefined;
    };

export type CurrentViewerViewer = {
  member: OwnCommunitiesMember;
};

export type DeclineInviteResult = 
  | {
      __typename: "DeclineInviteSuccess";
      communityName: string;
    }
  | {
      __typename: "InviteLinkInvalid";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    };

export type EarlierInvitationInvitation = {
  displayEmail: string;
  role: Role;
  message: string | null;
  locale: string | null;
  community: OpenCommunity;
};

export type FunnelCommunity = {
  invitationFunnel: InvitationWeek[] | null;
};

export type Identity = {
  id: string;
  provider: Provider | null;
  email: string | null;
  displayEmail: string | null;
  linkedAt: string;
  lastUsedAt: string | null;
};

export type InvitationAuditEvent = {
  id: string;
  kind: string;
  at: string;
  summary: string;
  times: number;
  lastAt: string | null;
};

export type InvitationAuditEventConnection = {
  nodes: InvitationAuditEvent[];
  pageInfo: PageInfo;
};

export type InvitationCommunity = {
  id: string;
  name: string;
  viewerRole: Role;
};

export type InvitationCounts = {
  pending: number;
  accepted: number;
  declined: number;
  revoked: number;
  expired: number;
};

export type InvitationInvitation = {
  id: string;
  email: string;
  displayEmail: string;
  role: Role;
  status: InvitationStatus;
  blockedReason: string | null;
  delivery: Delivery;
  deliveryReason: string | null;
  createdAt: string;
  expiresAt: string;
  lastSentAt: string | null;
  deliveredAt: string | null;
  acceptedAt: string | null;
  declinedAt: string | null;
  revokedAt: string | null;
  proposedEmail: string | null;
  displayProposedEmail: string | null;
  message: string | null;
  locale: string | null;
  inviter: AuditMember | null;
  revokedBy: AuditMember | null;
  acceptedBy: AuditMember | null;
  canResend: boolean;
  canResendAt: string | null;
  canRevoke: boolean;
  erasedAt: string | null;
  community: InvitationCommunity;
  timeline: InvitationAuditEventConnection;
};

export type InvitationPolicy = {
  linkMinutes: number;
  invitationDays: number;
  allowedEmailDomains: string[];
  displayEmailDomains: string[];
  seatLimit: number | null;
  locale: string | null;
};

export type InvitationQuota = {
  byYou: number | null;
  byCommunity: number | null;
  resetsAt: string | null;
};

export type InvitationWeek = {
  startsAt: string;
  invited: number;
  sent: number;
  delivered: number | null;
  opened: number;
  accepted: number;
};

export type InvitationsCommunity = {
  id: string;
  name: string;
  viewerRole: Role;
  memberCount: number;
  policy: InvitationPolicy;
  invitationCounts: InvitationCounts | null;
  invitations: InvitationsInvitationConnection | null;
};

export type InvitationsInvitation = {
  id: string;
  email: string;
  displayEmail: string;
  role: Role;
  status: InvitationStatus;
  blockedReason: string | null;
  delivery: Delivery;
  deliveryReason: string | null;
  createdAt: string;
  expiresAt: string;
  lastSentAt: string | null;
  deliveredAt: string | null;
  acceptedAt: string | null;
  declinedAt: string | null;
  revokedAt: string | null;
  proposedEmail: string | null;
  displayProposedEmail: string | null;
};

export type InvitationsInvitationConnection = {
  nodes: InvitationsInvitation[];
  pageInfo: PageInfo;
  totalCount: number;
};

export type InviteInvitation = {
  id: string;
};

export type InviteInviteMemberResult = 
  | {
      __typename: "AlreadyInvited";
      message: string;
      invitation: InviteInvitation;
      field?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "AlreadyMember";
      message: string;
      membership: InviteMembership;
      field?: undefined;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "EmailDomainNotAllowed";
      message: string;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InvalidEmail";
      message: string;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InvalidInput";
      message: string;
      field: string;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InviteMemberSuccess";
      invitation: InvitationsInvitation;
    }
  | {
      __typename: "NotFound";
      message: string;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
    }
  | {
      __typename: "SeatLimitReached";
      message: string;
      field?: undefined;
      invitation?: undefined;
      membership?: undefined;
      retryAfterSeconds?: undefined;
    };

export type InviteManyInviteMemberResult = 
  | {
      __typename: "AlreadyInvited";
      message: string;
      invitation: InviteInvitation;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "AlreadyMember";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "EmailDomainNotAllowed";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InvalidEmail";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InvalidInput";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InviteMemberSuccess";
      invitation: InvitationsInvitation;
    }
  | {
      __typename: "NotFound";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
      invitation?: undefined;
    }
  | {
      __typename: "SeatLimitReached";
      message: string;
      invitation?: undefined;
      retryAfterSeconds?: undefined;
    };

export type InviteMembersResult = 
  | {
      __typename: "InvalidInput";
      message: string;
      field: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InviteMembersSuccess";
      outcomes: InviteeOutcome[];
    }
  | {
      __typename: "NotFound";
      message: string;
      field?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      field?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      field?: undefined;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
      field?: undefined;
    };

export type InviteMembership = {
  id: string;
};

export type InvitePreview = {
  communityName: string;
  inviterName: string | null;
  maskedEmail: string;
  role: Role;
  message: string | null;
  linkExpiresAt: string;
  providers: Provider[];
};

export type InviteeOutcome = {
  email: string;
  result: InviteManyInviteMemberResult;
};

export type InvitingCommunity = {
  id: string;
  name: string;
  viewerRole: Role;
  memberCount: number;
  policy: InvitationPolicy;
  quota: InvitationQuota | null;
};

export type LinkIdentityResult = 
  | {
      __typename: "FreshSignInRequired";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "InvalidInput";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "ProviderUnavailable";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    }
  | {
      __typename: "SessionChanged";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "SignInStarted";
      signInId: string;
      authorizationUrl: string;
    }
  | {
      __typename: "UnknownProvider";
      message: string;
      retryAfterSeconds?: undefined;
    };

export type MembersCommunity = {
  id: string;
  name: string;
  viewerRole: Role;
  memberCount: number;
  policy: InvitationPolicy;
  memberships: MembershipConnection;
};

export type MembersMembership = {
  id: string;
  role: Role;
  joinedAt: string;
  viewerCanChange: boolean;
  member: SessionMember;
};

export type MembershipConnection = {
  nodes: MembersMembership[];
  pageInfo: PageInfo;
  totalCount: number;
};

export type OpenCommunity = {
  id: string;
};

export type OpenMembership = {
  id: string;
  community: OpenCommunity;
};

export type OwnCommunitiesMember = {
  id: string;
};

export type OwnCommunitiesViewer = {
  member: OwnCommunitiesMember;
  memberships: SessionMembership[];
};

export type PageInfo = {
  hasNextPage: boolean;
  endCursor: string | null;
};

export type Provider = {
  id: string;
  label: string;
};

export type RemoveMemberResult = 
  | {
      __typename: "LastOwner";
      message: string;
    }
  | {
      __typename: "NotFound";
      message: string;
    }
  | {
      __typename: "NotPermitted";
      message: string;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
    }
  | {
      __typename: "RemoveMemberSuccess";
      removedMembershipId: string;
    };

export type RequestFreshLinkResult = 
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    }
  | {
      __typename: "RequestFreshLinkAnswer";
      message: string;
    };

export type RequestOtherAddressResult = 
  | {
      __typename: "InviteLinkInvalid";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    }
  | {
      __typename: "RequestOtherAddressSuccess";
      acceptance: Acceptance;
    };

export type ResendInviteResult = 
  | {
      __typename: "InvitationClosed";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotFound";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    }
  | {
      __typename: "ResendInviteSuccess";
      invitation: InviteInvitation;
    }
  | {
      __typename: "SeatLimitReached";
      message: string;
      retryAfterSeconds?: undefined;
    };

export type RevokeAccessTokenResult = 
  | {
      __typename: "NotFound";
      message: string;
    }
  | {
      __typename: "NotPermitted";
      message: string;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
    }
  | {
      __typename: "RevokeAccessTokenSuccess";
      revokedAccessTokenId: string;
    };

export type RevokeInviteResult = 
  | {
      __typename: "InvitationClosed";
      message: string;
    }
  | {
      __typename: "NotFound";
      message: string;
    }
  | {
      __typename: "NotPermitted";
      message: string;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
    }
  | {
      __typename: "RevokeInviteSuccess";
      invitation: InviteInvitation;
    };

export type Session = {
  id: string;
  current: boolean;
  createdAt: string;
  lastSeenAt: string;
  provider: Provider | null;
  userAgent: string | null;
};

export type SessionCommunity = {
  id: string;
  name: string;
  memberCount: number;
};

export type SessionMember = {
  id: string;
  name: string | null;
  email: string | null;
  displayEmail: string | null;
};

export type SessionMembership = {
  id: string;
  role: Role;
  community: SessionCommunity;
};

export type SessionViewer = {
  member: SessionMember;
  mayCreateCommunities: boolean;
  memberships: SessionMembership[];
};

export type SignInOutcome = {
  status: SignInStatus;
  provider: Provider | null;
  message: string;
};

export type SignInResult = 
  | {
      __typename: "InvalidInput";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "ProviderUnavailable";
      message: string;
      retryAfterSeconds?: undefined;
    }
  | {
      __typename: "RateLimited";
      message: string;
      retryAfterSeconds: number;
    }
  | {
      __typename: "SignInStarted";
      signInId: string;
      authorizationUrl: string;
    }
  | {
      __typename: "UnknownProvider";
      message: string;
      retryAfterSeconds?: undefined;
    };

export type SignOutResult = 
  | {
      __typename: "InvalidInput";
      message: string;
    }
  | {
      __typename: "NotFound";
      message: string;
    }
  | {
      __typename: "SignOutSuccess";
      signedOut: number;
    };

export type UpdateInvitationPolicyResult = 
  | {
      __typename: "InvalidInput";
      message: string;
      field: string;
    }
  | {
      __typename: "NotFound";
      message: string;
      field?: undefined;
    }
  | {
      __typename: "NotPermitted";
      message: string;
      field?: undefined;
    }
  | {
      __typename: "NotSignedIn";
      message: string;
      field?: undefined;
    }
  | {
      __typename: "UpdateInvitationPolicySuccess";
      community: UpdatePolicyCommunity;
    };

export type UpdatePolicyCommunity = {
  id: string;
  name: string;
  viewerRole: Role;
  memberCount: number;
  policy: InvitationPolicy;
};

export type OpenData = {
  invitePreview: InvitePreview | null;
  acceptance: Acceptance | null;
  providers: Provider[];
};
export type OpenVariables = {
  token?: string | null;
  acceptanceId?: string | null;
};

export type AcceptanceStatusData = {
  acceptance: Acceptance | null;
};
export type AcceptanceStatusVariables = {
  acceptanceId?: string | null;
};

export type AcceptData = {
  acceptInvite: AcceptInviteResult;
};
export type AcceptVariables = {
  input: AcceptInviteInput;
};

export type ConfirmData = {
  confirmAcceptance: ConfirmAcceptanceResult;
};
export type ConfirmVariables = {
  input: ConfirmAcceptanceInput;
};

export type OtherAddressData = {
  requestOtherAddress: RequestOtherAddressResult;
};
export type OtherAddressVariables = {
  input: RequestOtherAddressInput;
};

export type DeclineData = {
  declineInvite: DeclineInviteResult;
};
export type DeclineVariables = {
  input: DeclineInviteInput;
};

export type FreshLinkData = {
  requestFreshLink: RequestFreshLinkResult;
};
export type FreshLinkVariables = {
  input: RequestFreshLinkInput;
};

export type SessionData = {
  viewer: SessionViewer | null;
  signInOutcome: SignInOutcome | null;
  providers: Provider[];
};
export type SessionVariables = {
  signInId?: string | null;
};

export type OwnCommunitiesData = {
  viewer: OwnCommunitiesViewer | null;
};
export type OwnCommunitiesVariables = {};

export type CurrentViewerData = {
  viewer: CurrentViewerViewer | null;
};
export type CurrentViewerVariables = {};

export type SignInData = {
  signIn: SignInResult;
};
export type SignInVariables = {
  input: SignInInput;
};

export type LinkIdentityData = {
  linkIdentity: LinkIdentityResult;
};
export type LinkIdentityVariables = {
  input: LinkIdentityInput;
};

export type SignOutData = {
  signOut: SignOutResult;
};
export type SignOutVariables = {
  input?: SignOutInput | null;
};

export type AccountData = {
  viewer: AccountViewer | null;
  providers: Provider[];
};
export type AccountVariables = {};

export type CreateAccessTokenData = {
  createAccessToken: CreateAccessTokenResult;
};
export type CreateAccessTokenVariables = {
  input: CreateAccessTokenInput;
};

export type RevokeAccessTokenData = {
  revokeAccessToken: RevokeAccessTokenResult;
};
export type RevokeAccessTokenVariables = {
  input: RevokeAccessTokenInput;
};

export type CreateCommunityData = {
  createCommunity: CreateCommunityResult;
};
export type CreateCommunityVariables = {
  input: CreateCommunityInput;
};

export type InvitationsData = {
  viewer: CurrentViewerViewer | null;
  community: InvitationsCommunity | null;
};
export type InvitationsVariables = {
  id: string;
  filter?: InvitationFilter | null;
  first: number;
  after?: string | null;
};

export type CountsData = {
  community: CountsCommunity | null;
};
export type CountsVariables = {
  id: string;
  filter?: InvitationFilter | null;
};

export type FunnelData = {
  community: FunnelCommunity | null;
};
export type FunnelVariables = {
  id: string;
  weeks: number;
};

export type InvitationChangedData = {
  invitationChanged: InvitationsInvitation;
};
export type InvitationChangedVariables = {
  communityId: string;
};

export type MembersData = {
  viewer: CurrentViewerViewer | null;
  community: MembersCommunity | null;
};
export type MembersVariables = {
  id: string;
  first: number;
  after?: string | null;
};

export type ChangeRoleData = {
  changeRole: ChangeRoleResult;
};
export type ChangeRoleVariables = {
  input: ChangeRoleInput;
};

export type RemoveMemberData = {
  removeMember: RemoveMemberResult;
};
export type RemoveMemberVariables = {
  input: RemoveMemberInput;
};

export type UpdatePolicyData = {
  updateInvitationPolicy: UpdateInvitationPolicyResult;
};
export type UpdatePolicyVariables = {
  input: UpdateInvitationPolicyInput;
};

export type CommunityData = {
  viewer: CurrentViewerViewer | null;
  community: UpdatePolicyCommunity | null;
};
export type CommunityVariables = {
  id: string;
};

export type InvitingData = {
  viewer: CurrentViewerViewer | null;
  community: InvitingCommunity | null;
};
export type InvitingVariables = {
  id: string;
};

export type AuditData = {
  viewer: CurrentViewerViewer | null;
  community: AuditCommunity | null;
};
export type AuditVariables = {
  id: string;
  filter?: AuditFilter | null;
  first: number;
  after?: string | null;
};

export type InvitationData = {
  viewer: CurrentViewerViewer | null;
  invitation: InvitationInvitation | null;
};
export type InvitationVariables = {
  id: string;
  first: number;
  after?: string | null;
};

export type EarlierInvitationData = {
  invitation: EarlierInvitationInvitation | null;
};
export type EarlierInvitationVariables = {
  id: string;
};

export type InviteData = {
  inviteMember: InviteInviteMemberResult;
};
export type InviteVariables = {
  input: InviteMemberInput;
};

export type InviteManyData = {
  inviteMembers: InviteMembersResult;
};
export type InviteManyVariables = {
  input: InviteMembersInput;
};

export type ResendData = {
  resendInvite: ResendInviteResult;
};
export type ResendVariables = {
  input: ResendInviteInput;
};

export type RevokeData = {
  revokeInvite: RevokeInviteResult;
};
export type RevokeVariables = {
  input: RevokeInviteInput;
};
