// Named places where a test build can be killed as by a power cut of the process: SLUICE_FAIL_POINT=name:count kills it
// with SIGKILL when it comes by `name` for the count-th time. Compiled out without SLUICE_FAIL_POINTS.
#pragma once

#if defined(SLUICE_FAIL_POINTS)
namespace sluice {
void HitFailPoint(const char* name);
}  // namespace sluice
#define FAIL_POINT(name) ::sluice::HitFailPoint(name)
#else
#define FAIL_POINT(name) static_cast<void>(0)
#endif
