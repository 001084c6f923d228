//! The matrix of faults: each row breaks a real broker, network, disk or process, waits for what the
//! operator is told, and holds every user's answer against an independent fold.
//!
//! `cargo test -p tests --test faults [-- WORD]` runs the rows whose names hold the word and prints a
//! table. Recovery times are measured and shown; only generous limits can fail a row.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one prints a table"
)]

mod access;
mod broker;
mod clock;
mod disk;
mod load;
mod logins;
mod matrix;
mod network;
mod people;
mod process;
mod stream;

use std::process::ExitCode;

use matrix::row;

fn main() -> ExitCode {
    matrix::run(&[
        row!(process::killed_at_random_moments),
        row!(broker::killed_or_stopped_50_times_under_load),
        row!(broker::leader_of_three_killed_3_times),
        row!(broker::frozen),
        row!(broker::consumer_deleted),
        row!(broker::consumer_deleted_while_pulling),
        row!(broker::max_batch_lowered_while_pulling),
        row!(broker::lame_duck),
        row!(network::black_hole_then_cut),
        row!(network::connections_reset_and_refused),
        row!(network::delay_of_200_ms),
        row!(network::one_byte_at_a_time),
        row!(network::frozen_in_mid_frame),
        row!(network::reset_every_60_000_bytes),
        row!(stream::deleted_and_made_anew_while_running),
        row!(stream::made_anew_while_down),
        row!(stream::older_copy_restored),
        row!(stream::older_copy_restored_and_written_while_down),
        row!(stream::removed_before_it_was_read),
        row!(stream::removed_after_it_was_read),
        row!(stream::absent_at_the_start),
        row!(access::exact_permissions),
        row!(access::permission_denied),
        row!(access::wrong_password),
        row!(access::wrong_nkey),
        row!(access::expired_credentials),
        row!(access::account_unknown),
        row!(access::account_without_jetstream),
        row!(access::server_without_jetstream),
        row!(logins::each_permission_taken_and_given_back),
        row!(logins::password_wrong_or_none),
        row!(logins::nkey_rotated_under_the_running_service),
        row!(logins::credentials_expired_before_the_start),
        row!(logins::credentials_replaced_while_connected),
        row!(logins::exact_permissions_of_commands),
        row!(load::largest_messages_and_bursts),
        row!(disk::full),
        row!(disk::full_at_the_start),
        row!(disk::full_in_a_rebuild),
        row!(disk::size_limited),
        row!(disk::folder_read_only),
        row!(clock::jumps_under_load),
        row!(clock::kept_keys_grow_too_old),
        row!(process::terminated_in_mid_batch),
        row!(process::two_on_one_folder),
    ])
}
