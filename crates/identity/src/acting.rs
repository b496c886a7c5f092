//! For whom a caller acts: its own tenant, or, if it is an operator, the one that it names.

use audit_event::TenantId;
use audit_event::control::{ControlState, Role};
use audit_event::credential::Caller;
use reqwest::header::{HeaderMap, HeaderName};

use crate::error::IdentityError;

/// Names the tenant that an operator acts for.
pub const TENANT_HEADER: HeaderName = HeaderName::from_static("sealtrail-tenant");

/// The caller as it acts in this request.
pub(crate) fn acting(
    mut caller: Caller,
    headers: &HeaderMap,
    state: &ControlState,
) -> Result<Caller, IdentityError> {
    let mut named = headers.get_all(TENANT_HEADER).iter();
    let tenant = match (named.next(), named.next()) {
        (None, _) => return Ok(caller),
        // a value that cannot be read must not mean "my own"
        (Some(one), None) => one.to_str().ok().and_then(|text| text.trim().parse::<TenantId>().ok()),
        (Some(_), Some(_)) => None,
    };
    if tenant.as_ref() == Some(&caller.tenant_id) {
        return Ok(caller);
    }
    if caller.role != Role::Operator {
        return Err(IdentityError::NotAnOperator);
    }
    let exists = |tenant: &TenantId| state.tenants.contains_key(tenant);
    caller.tenant_id = tenant.filter(exists).ok_or(IdentityError::NoSuchTenant)?;
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{state, tenant};
    use reqwest::header::HeaderValue;

    fn act(role: Role, named: &[&[u8]]) -> Result<String, IdentityError> {
        let mut headers = HeaderMap::new();
        for name in named {
            headers.append(TENANT_HEADER, HeaderValue::from_bytes(name).expect("a header"));
        }
        let caller = Caller::new(tenant("demo"), role, "k1".to_owned());
        acting(caller, &headers, &state()).map(|caller| caller.tenant_id.to_string())
    }

    #[test]
    fn an_operator_acts_for_every_tenant_there_is() {
        assert_eq!(act(Role::Operator, &[]), Ok("demo".to_owned()));
        assert_eq!(act(Role::Operator, &[b"other"]), Ok("other".to_owned()));
        assert_eq!(act(Role::Operator, &[b"demo"]), Ok("demo".to_owned()));
        for wrong in [&b"nobody"[..], b"", b"Not A Tenant", b"d\xe9mo", b"other,demo"] {
            assert_eq!(act(Role::Operator, &[wrong]), Err(IdentityError::NoSuchTenant), "{wrong:?}");
        }
        assert_eq!(act(Role::Operator, &[b"other", b"demo"]), Err(IdentityError::NoSuchTenant));
    }

    #[test]
    fn nobody_else_names_another_tenant() {
        for role in [Role::Producer, Role::Reader, Role::Auditor, Role::Admin] {
            assert_eq!(act(role, &[]), Ok("demo".to_owned()));
            assert_eq!(act(role, &[b"demo"]), Ok("demo".to_owned()));
            for wrong in [&b"other"[..], b"nobody", b"", b"d\xe9mo"] {
                assert_eq!(act(role, &[wrong]), Err(IdentityError::NotAnOperator), "{role:?} {wrong:?}");
            }
            assert_eq!(act(role, &[b"demo", b"other"]), Err(IdentityError::NotAnOperator));
        }
    }
}
