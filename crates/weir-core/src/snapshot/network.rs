//! Network rules: from which addresses an account and a workspace can be called (`azure.md`, C7).
//!
//! Base. Decides what an address rule is and whether an address is in it; not when a rule is asked (`exchange`) and
//! not who writes it (`control::arm`). IPv4 and IPv6, single addresses and blocks; an IPv4 address that was mapped
//! into IPv6 is the IPv4 address.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Most address rules of one resource: Azure allows 200.
pub const ADDRESS_RULES_MAX: usize = 200;

/// The rules of one account, and of the workspace of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// For everything but serverless endpoints.
    #[serde(default)]
    pub account: Access,
    /// For serverless endpoints.
    #[serde(default)]
    pub workspace: Access,
    /// The account's own keys open nothing: its `disableLocalAuth` is true.
    #[serde(default)]
    pub keys_disabled: bool,
}

/// Who may call a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everyone.
    #[default]
    Open,
    /// Callers from these addresses and blocks, in the text form of [`AddressRule::parse`].
    Only(Vec<String>),
    /// No one: `publicNetworkAccess` is `Disabled`.
    Closed,
}

/// An address or a block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRule {
    first: u128,
    mask: u128,
}

impl AddressRule {
    /// Reads `203.0.113.7`, `203.0.113.0/24`, `2001:db8::1` or `2001:db8::/32`. Bits beyond the prefix are ignored.
    /// `None` if the text is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(text) if text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse::<u32>().ok().filter(|prefix| *prefix <= bits)?
            }
            Some(_) => return None,
        };
        // An IPv4 address is the last 32 of 128 bits.
        let free = u32::checked_sub(bits, prefix)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        Some(Self { first: number(address) & mask, mask })
    }

    fn contains(self, address: u128) -> bool {
        address & self.mask == self.first
    }
}

/// The 128 bits of an address; IPv4 ones as they are mapped into IPv6.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// [`Network`], ready for requests.
#[derive(Clone, Debug)]
pub struct ReadyNetwork {
    account: ReadyAccess,
    workspace: ReadyAccess,
    /// The account's own keys open nothing.
    pub keys_disabled: bool,
}

#[derive(Clone, Debug)]
enum ReadyAccess {
    Open,
    Only(Vec<AddressRule>),
    Closed,
}

/// Why an address may not call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It is in none of the address rules.
    Address,
    /// It is not known, and there are rules.
    Unseen,
    /// Public access is off.
    Closed,
}

impl ReadyNetwork {
    /// Reads the rules. A rule that cannot be read admits nobody.
    pub fn new(network: &Network) -> Self {
        let Network { account, workspace, keys_disabled } = network;
        Self {
            account: ReadyAccess::new(account),
            workspace: ReadyAccess::new(workspace),
            keys_disabled: *keys_disabled,
        }
    }

    /// Whether `address` may call serverless endpoints, or else the rest of the account.
    ///
    /// # Errors
    /// [`Barred`].
    pub fn admit(&self, serverless: bool, address: Option<&str>) -> Result<(), Barred> {
        match if serverless { &self.workspace } else { &self.account } {
            ReadyAccess::Open => Ok(()),
            ReadyAccess::Closed => Err(Barred::Closed),
            ReadyAccess::Only(rules) => {
                let address = address.ok_or(Barred::Unseen)?.parse().ok().map(number);
                let admitted = address.is_some_and(|address| rules.iter().any(|rule| rule.contains(address)));
                if admitted { Ok(()) } else { Err(Barred::Address) }
            }
        }
    }
}

impl ReadyAccess {
    fn new(access: &Access) -> Self {
        match access {
            Access::Open => Self::Open,
            Access::Closed => Self::Closed,
            Access::Only(rules) => {
                Self::Only(rules.iter().filter_map(|text| AddressRule::parse(text)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::vec;

    #[test]
    fn an_address_is_in_a_rule_or_not() {
        let rows = [
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("203.0.113.9/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "2001:db8::1", true),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
            ("10.0.0.0/31", "10.0.0.1", true),
        ];
        for (rule, address, expected) in rows {
            let network = Network {
                account: Access::Only(vec![rule.to_owned()]),
                workspace: Access::Closed,
                keys_disabled: false,
            };
            let ready = ReadyNetwork::new(&network);
            assert_eq!(ready.admit(false, Some(address)).is_ok(), expected, "{rule} {address}");
            assert_eq!(ready.admit(true, Some(address)), Err(Barred::Closed));
            assert_eq!(ready.admit(false, None), Err(Barred::Unseen));
            assert_eq!(ready.admit(false, Some("not an address")), Err(Barred::Address));
        }
    }

    #[test]
    fn other_texts_are_no_rule() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+1",
            "::/129",
            "fe80::1%1",
            "a",
        ] {
            assert_eq!(AddressRule::parse(text), None, "{text}");
        }
    }
}
