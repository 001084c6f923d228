//! What `/metrics` says of the process, its disk, its jobs and its snapshots.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use query::exposition::Exposition;
use read_model::Place;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::keeper::{Desk, JobKind, JobState, JobStatus};

/// The files of the data folder, and what they are called here.
const FILES: [(Place, &str); 5] = [
    (Place::Live, "live"),
    (Place::Rebuild, "rebuild"),
    (Place::Previous, "previous"),
    (Place::LastGood, "last_good"),
    (Place::Verify, "verify"),
];

/// What is asked when somebody wants to know.
pub(crate) struct Figures {
    pub(crate) folder: PathBuf,
    pub(crate) desk: Desk,
    /// What all bounds come to.
    pub(crate) memory_bytes: usize,
    pub(crate) started: SystemTime,
}

impl Figures {
    /// Writes all of them.
    pub(crate) fn write(&self, page: &mut Exposition) {
        page.gauge(
            "profile_projector_build_info",
            "1; the label says which release this is",
        )
        .with(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.gauge(
            "profile_projector_memory_limit_bytes",
            "What the bounds on memory come to",
        )
        .value(self.memory_bytes);
        disk(page, &self.folder);
        job(page, &self.desk.status());
        process(page, self.started);
    }
}

fn disk(page: &mut Exposition, folder: &Path) {
    let mut files = page.gauge(
        "profile_projector_file_bytes",
        "Sizes of the files of the data folder; 0 where there is none",
    );
    for (place, word) in FILES {
        let bytes = fs::metadata(place.path(folder)).map_or(0, |file| file.len());
        files.with(&[("file", word)], bytes);
    }
    // A disk that does not answer has no figures: an alert on their absence is better than a zero.
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return;
    };
    page.gauge(
        "profile_projector_disk_free_bytes",
        "Room that is left for the data folder on its disk",
    )
    .value(disk.f_bavail.saturating_mul(disk.f_frsize));
    page.gauge(
        "profile_projector_disk_size_bytes",
        "Room that the data folder's disk has",
    )
    .value(disk.f_blocks.saturating_mul(disk.f_frsize));
}

fn job(page: &mut Exposition, job: &JobStatus) {
    let is_running = job.state == JobState::Running;
    let running = job.kind.filter(|_| is_running).map(JobKind::word);
    page.gauge(
        "profile_projector_job_running",
        "1 for the job that is under way",
    )
    .one_of("kind", JobKind::ALL.map(JobKind::word), running);
    let of_running = |sequence: u64| if is_running { sequence } else { 0 };
    page.gauge(
        "profile_projector_job_read_sequence",
        "Last sequence that the running job has read and folded; 0 without a job",
    )
    .value(of_running(job.read_sequence));
    page.gauge(
        "profile_projector_job_target_sequence",
        "The stream's end when the running job began; 0 without a job",
    )
    .value(of_running(job.target_sequence.unwrap_or(0)));
}

fn process(page: &mut Exposition, started: SystemTime) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(cpu.tv_nsec).unwrap_or(0);
    let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
    page.counter(
        "process_cpu_seconds_total",
        "Processor time of the process, in seconds",
    )
    .value(std::time::Duration::new(seconds, nanos).as_secs_f64());
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open file descriptors")
            .value(open.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.gauge("process_max_fds", "The most open file descriptors")
            .value(most);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    if let Some(kib) = of("VmRSS:") {
        page.gauge("process_resident_memory_bytes", "Resident memory, in bytes")
            .value(kib.saturating_mul(1024));
    }
    if let Some(kib) = of("VmSize:") {
        page.gauge("process_virtual_memory_bytes", "Virtual memory, in bytes")
            .value(kib.saturating_mul(1024));
    }
    if let Some(threads) = of("Threads:") {
        page.gauge("process_threads", "Threads of the process")
            .value(threads);
    }
    let since_1970 = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    page.gauge(
        "process_start_time_seconds",
        "When the process started, since the epoch",
    )
    .value(since_1970.as_secs_f64());
}
