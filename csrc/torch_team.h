// The threads that torch computes with, borrowed for a step.
#pragma once

namespace downslope {

// Calls body(context) on each of up to `count` threads of the OpenMP runtime that torch has loaded, the caller's
// included, and returns when all are done. False, and nothing is called, where there is no such runtime.
bool run_on_torch_team(int count, void (*body)(void*), void* context);

}  // namespace downslope
