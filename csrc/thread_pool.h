// A small thread pool, started at first use; or, where torch is loaded, the threads that it has already.
#pragma once

#include <functional>

namespace downslope {

// Number of threads that `run_parallel` uses, the caller's included; from 1 to 1024, to which others are brought.
int thread_count();
// `of_torch`: whether that is torch's own number, so that its threads, if they can be had, may take the place of a pool.
void set_thread_count(int count, bool of_torch = false);

// Calls work(share) once for every share in [0, shares), at most `thread_count()` at a time, and returns when all are
// done. Which thread runs a share is not fixed, what a share holds is the caller's: so results never depend on it.
void run_parallel(int shares, const std::function<void(int)>& work);

}  // namespace downslope
