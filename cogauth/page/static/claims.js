// What each claim of a token means, as AWS and the RFCs describe it. Sources:
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
// https://www.rfc-editor.org/rfc/rfc7519#section-4.1

const HEADER = {
  alg: "The algorithm of the signature. User pools sign with RS256: RSA with SHA-256.",
  kid: "The id of the key that signed the token. It is one of the pool's public keys in jwks.json. ID and access tokens have different keys.",
  typ: "The kind of this object: JWT, a JSON Web Token.",
};

const CLAIMS = {
  iss: "Issuer: the URL of the user pool that issued the token. The authorizer only accepts its own pool's.",
  sub: "Subject: the user's unique id in the pool. Unlike a name, it is never given to another user.",
  aud: "Audience: the id of the app client that the user signed in with. Only ID tokens have it; access tokens have client_id.",
  client_id: "The id of the app client that the user signed in with. Access tokens have it in place of aud.",
  token_use: "What the token is for: id says who the user is, access says what the user may do.",
  scope: "The OAuth 2.0 scopes of the token, separated by spaces. aws.cognito.signin.user.admin lets users read and change their own attributes.",
  exp: "Expiration: from this time on, the token is refused.",
  iat: "Issued at: when the pool issued this token. Renewing issues a new one.",
  auth_time: "When the user signed in. Renewing keeps it.",
  nbf: "Not before: until this time, the token is refused.",
  jti: "The unique id of this token.",
  origin_jti: "The id that all tokens of one sign-in share. Revoking the refresh token makes Cognito refuse access and ID tokens that carry it.",
  event_id: "The id of the sign-in's event in the pool.",
  "cognito:username": "The user's name in the pool.",
  username: "The user's name in the pool.",
  "cognito:groups": "The groups of the pool that the user is in.",
  "cognito:roles": "The IAM roles of the user's groups.",
  "cognito:preferred_role": "The IAM role of the user's group that has the highest precedence.",
  email: "The user's email address.",
  email_verified: "Whether the email address was confirmed to be the user's.",
  phone_number: "The user's phone number, with + and the country's code.",
  phone_number_verified: "Whether the phone number was confirmed to be the user's.",
  version: "The version of the access token's form.",
  device_key: "The id of the device that the user signed in from.",
  identities: "The user's accounts at external identity providers.",
  nonce: "The value that the client sent at the sign-in, against replays.",
  at_hash: "A hash of the access token that was issued with this ID token.",
  name: "The user's full name.",
};

// Times that the page also shows as a date.
export const TIMES = new Set(["exp", "iat", "auth_time", "nbf"]);

export function meaningOf(claim) {
  if (Object.hasOwn(CLAIMS, claim)) return CLAIMS[claim];
  if (claim.startsWith("custom:")) return "An attribute that this user pool defines.";
  return "Not one of Cognito's own claims: an attribute of the user, or added by a trigger.";
}

export function headerMeaningOf(name) {
  return Object.hasOwn(HEADER, name) ? HEADER[name] : "A parameter of the token's header.";
}
