//! Scopes: what a token may be used for.

/// A scope that a method asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope(&'static str);

impl Scope {
    /// Reading chats and messages.
    pub const CHATS_READ: Self = Self("chats:read");
    /// Writing, claiming and closing in chats.
    pub const CHATS_WRITE: Self = Self("chats:write");
    /// Reading cards, contacts and orders.
    pub const CRM_READ: Self = Self("crm:read");
    /// Changing cards, contacts and orders.
    pub const CRM_WRITE: Self = Self("crm:write");
    /// Managing pipelines and sources.
    pub const CRM_ADMIN: Self = Self("crm:admin");
    /// Managing channels.
    pub const CHANNELS_ADMIN: Self = Self("channels:admin");
    /// Managing accounts' agents, groups and roles.
    pub const AGENTS_ADMIN: Self = Self("agents:admin");
    /// Managing integrators' endpoints.
    pub const INTEGRATIONS_ADMIN: Self = Self("integrations:admin");
    /// Calls between services.
    pub const INTERNAL: Self = Self("internal");
    /// Operators' calls.
    pub const OPS: Self = Self("ops");

    /// Makes a scope of its text.
    pub const fn new(text: &'static str) -> Self {
        Self(text)
    }

    /// Returns its text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Tells whether a token's scope covers one that is needed: `chats:*` covers `chats:read`.
pub fn covers(held: &str, needed: &str) -> bool {
    held == needed
        || held
            .strip_suffix('*')
            .filter(|family| family.len() > 1 && family.ends_with(':'))
            .is_some_and(|family| needed.len() > family.len() && needed.starts_with(family))
}

/// Returns the alternative of `needed` (separated by `|`) that the held scopes satisfy.
pub fn satisfies<'n, H: AsRef<str>>(held: &[H], needed: &'n str) -> Option<&'n str> {
    needed
        .split('|')
        .map(str::trim)
        .filter(|alternative| !alternative.is_empty())
        .find(|alternative| held.iter().any(|held| covers(held.as_ref(), alternative)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_covers_its_family_and_nothing_else() {
        for (held, needed, expected) in [
            ("chats:read", "chats:read", true),
            ("chats:*", "chats:read", true),
            ("chats:*", "chats:write", true),
            ("chats:read", "chats:write", false),
            ("chats:*", "chatsx:read", false),
            ("chats:*", "crm:read", false),
            ("chats:*", "chats:", false),
            ("*", "chats:read", false),
            (":*", ":x", false),
            ("", "chats:read", false),
            ("*", "internal", false),
            ("internal", "internal", true),
            ("ops", "internal", false),
        ] {
            assert_eq!(covers(held, needed), expected, "{held} {needed}");
        }
    }

    #[test]
    fn a_method_may_name_alternatives() {
        assert_eq!(
            satisfies(&["internal"], "chats:read|internal"),
            Some("internal")
        );
        assert_eq!(
            satisfies(&["chats:*"], "chats:read|internal"),
            Some("chats:read")
        );
        assert_eq!(satisfies(&["crm:*"], "chats:read|internal"), None);
        assert_eq!(satisfies(&[""], ""), None);
        assert_eq!(satisfies::<&str>(&[], "ops"), None);
    }
}
