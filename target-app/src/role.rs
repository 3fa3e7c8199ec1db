//! The eight roles and their names.
//!
//! Invariant: `NAMES` and `Role` list the same roles in the same order.

use std::str::FromStr;

/// The names of all roles, in the order of [`Role`].
pub(crate) const NAMES: [&str; 8] = [
    "gateway",
    "frontend",
    "users",
    "catalog",
    "orders",
    "payments",
    "notifications",
    "bank",
];

/// What one process of the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The door of the shop: routes, checks tokens, tries again.
    Gateway,
    /// The web page: the shop as people see it.
    Frontend,
    /// Shoppers: registers them and logs them in.
    Users,
    /// Products: list, search, stock.
    Catalog,
    /// Carts, check-out and the life of an order.
    Orders,
    /// Charges, each at most once for a key.
    Payments,
    /// What shoppers are told about their orders.
    Notifications,
    /// Moves the money; outside the shop's own book-keeping.
    Bank,
}

impl Role {
    /// The name of the role in commands, logs and metrics.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// The name given is not one of a role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no role is called `{name}`; the roles are {}", NAMES.join(", "))]
pub struct UnknownRole {
    name: String,
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        let all = [
            Self::Gateway,
            Self::Frontend,
            Self::Users,
            Self::Catalog,
            Self::Orders,
            Self::Payments,
            Self::Notifications,
            Self::Bank,
        ];
        all.into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| UnknownRole {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_the_role_of_that_name() {
        for name in NAMES {
            assert_eq!(name.parse::<Role>().unwrap().name(), name);
        }
    }

    #[test]
    fn an_unknown_role_is_answered_with_the_list() {
        let text = "order".parse::<Role>().unwrap_err().to_string();
        assert!(
            text.contains("`order`") && text.contains("orders, payments"),
            "{text}"
        );
    }
}
