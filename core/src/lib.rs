//! The pure reconcile logic of Windlass: a snapshot in, a plan out.
