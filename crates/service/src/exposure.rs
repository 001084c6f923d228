//! What is said at the start where others than this machine can reach more than they should.

use crate::config::Config;
use devkit::issuer::ISSUER;

/// Warns of what stands open.
pub(crate) fn warn(config: &Config) {
    if !config.admin_listen.ip().is_loopback() && config.admin_tls.is_none() {
        tracing::warn!(
            admin_listen = %config.admin_listen,
            "the admin routes are not on loopback and without TLS: whoever reads along has the admin token; let nobody \
             but operators and probes reach them, or give --admin-tls-cert and --admin-tls-key"
        );
    }
    if !config.listen.ip().is_loopback() && config.auth.trusts(ISSUER) {
        tracing::warn!(
            listen = %config.listen,
            "tokens of the development issuer are believed: whoever has its key can be anybody; trust the issuer of your \
             users with --auth-config or --workos-client-id"
        );
    }
}
