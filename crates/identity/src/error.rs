//! Why somebody is not let in. No message holds any part of the token or the key.

use audit_event::credential::CredentialError;
use thiserror::Error;

use crate::refresher::NUDGE_GAP;
use crate::token::MAX_TOKEN_BYTES;

/// The longest claim `sub`, in bytes. Source: OpenID Connect Core 1.0, section 2.
pub(crate) const MAX_SUBJECT_BYTES: usize = 255;

/// How a refusal is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 401; with a time where the same credential may be good then.
    Unauthorized { retry_after_s: Option<u32> },
    /// 403
    Forbidden,
    /// 503
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("only an operator acts for another tenant; leave the header Sealtrail-Tenant out")]
    NotAnOperator,
    #[error("the header Sealtrail-Tenant must name one tenant that exists; see `sealtrail tenants list`")]
    NoSuchTenant,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("tokens are not taken here; send an api key")]
    Off,
    #[error("the issuer's keys have not been read yet; try again")]
    NotRead,
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes; have the issuer leave claims out")]
    TooLong,
    #[error("the token cannot be read; send a signed jwt of three parts")]
    Malformed,
    #[error("the token has critical headers, and none is known here; have the issuer leave `crit` out")]
    Critical,
    #[error("the token's algorithm is not taken for its key; sign it by one of those in tokens.algorithms")]
    Algorithm,
    #[error("the token names no key, and the issuer has several; have it write `kid`")]
    NoKeyId,
    #[error(
        "the token's key is not among the issuer's; if it is new, try again in {} s",
        NUDGE_GAP.as_secs()
    )]
    UnknownKey,
    #[error("the token's signature is not the issuer's; get a new token")]
    Signature,
    /// The claim's name is a setting or a constant, never a text of the token.
    #[error("the token's claim {claim} must be {form}; have the issuer write it so")]
    Claim { claim: String, form: &'static str },
    #[error("the token has expired; get a new one")]
    Expired,
    #[error("the token is not valid yet; wait, or compare the clocks")]
    NotYetValid,
    #[error("the token is of another issuer; get one from the issuer in tokens.issuer")]
    Issuer,
    #[error("the token is for another audience; get one for tokens.audience")]
    Audience,
    #[error("the token's tenant does not exist; make it by `sealtrail tenants create`")]
    UnknownTenant,
    #[error("the token's role is not one of producer, reader, auditor, admin, operator")]
    UnknownRole,
}

impl IdentityError {
    pub fn answer(&self) -> Answer {
        match self {
            Self::Credential(_) => Answer::Unauthorized { retry_after_s: None },
            Self::Token(error) => error.answer(),
            Self::NotAnOperator | Self::NoSuchTenant => Answer::Forbidden,
        }
    }
}

impl TokenError {
    fn answer(&self) -> Answer {
        match self {
            Self::NotRead => Answer::Unavailable,
            // the issuer's word is believed, and it gives no right here
            Self::UnknownTenant | Self::UnknownRole => Answer::Forbidden,
            Self::UnknownKey => {
                Answer::Unauthorized { retry_after_s: u32::try_from(NUDGE_GAP.as_secs()).ok() }
            }
            _ => Answer::Unauthorized { retry_after_s: None },
        }
    }
}
