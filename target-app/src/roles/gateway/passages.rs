//! What can be asked of the shop: one line for each method and path, and who answers it.
//!
//! Invariant: the router is made of this list alone, so what stands in it is what is served; the
//! document at `/openapi.json` is compared with it by a test.

use ::http::Method;

use Access::{Admin, Everyone, Shopper};
use Callee::{Catalog, Orders, Users};
use Key::{FromShopper, Made};

/// The role that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callee {
    Users,
    Catalog,
    Orders,
}

/// Who may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Everyone,
    /// Whoever has a token; counted against the shopper's rate.
    Shopper,
    /// Whoever has a token with the scope `admin`; counted likewise.
    Admin,
}

/// A request without an idempotency key gets one here, or is left for the callee to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Made,
    FromShopper,
}

/// One way through the door.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    pub(super) method: Method,
    /// The pattern of the path; the same at the callee.
    pub(super) path: &'static str,
    pub(super) callee: Callee,
    pub(super) access: Access,
    pub(super) key: Key,
}

const fn passage(
    method: Method,
    path: &'static str,
    callee: Callee,
    access: Access,
    key: Key,
) -> Passage {
    Passage {
        method,
        path,
        callee,
        access,
        key,
    }
}

/// All of them.
pub(super) const PASSAGES: &[Passage] = &[
    passage(Method::GET, "/products", Catalog, Everyone, Made),
    passage(Method::GET, "/products/search", Catalog, Everyone, Made),
    passage(Method::GET, "/products/{id}", Catalog, Everyone, Made),
    passage(Method::POST, "/products", Catalog, Admin, FromShopper),
    passage(Method::PUT, "/products/{id}", Catalog, Admin, Made),
    passage(Method::DELETE, "/products/{id}", Catalog, Admin, Made),
    passage(Method::POST, "/users", Users, Everyone, Made),
    passage(Method::POST, "/login", Users, Everyone, Made),
    passage(Method::POST, "/token/refresh", Users, Everyone, Made),
    passage(Method::POST, "/logout", Users, Everyone, Made),
    passage(Method::POST, "/carts", Orders, Shopper, Made),
    passage(Method::GET, "/carts/{id}", Orders, Shopper, Made),
    passage(Method::POST, "/carts/{id}/items", Orders, Shopper, Made),
    passage(
        Method::DELETE,
        "/carts/{id}/items/{product_id}",
        Orders,
        Shopper,
        Made,
    ),
    passage(Method::POST, "/checkout", Orders, Shopper, FromShopper),
    passage(Method::GET, "/orders/{id}", Orders, Shopper, Made),
];
