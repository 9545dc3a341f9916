// A small thread pool: started at first use, one static share of the work per thread.
#pragma once

#include <functional>

namespace downslope {

// Number of threads that `run_parallel` uses, the caller's included; at least 1.
int thread_count();
void set_thread_count(int count);

// Calls work(share) once for every share in [0, shares), at most `thread_count()` at a time, and returns when all are
// done. Which thread runs a share is not fixed, what a share holds is the caller's: so results never depend on it.
void run_parallel(int shares, const std::function<void(int)>& work);

}  // namespace downslope
