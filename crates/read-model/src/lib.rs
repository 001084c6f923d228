//! The read model on disk: rows and checkpoint in one redb file.
