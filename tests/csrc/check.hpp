// The least a test needs: CHECK counts failures, `report()` turns them into an exit status.
#pragma once

#include <cmath>
#include <cstdio>

inline int& failures() {
  static int count = 0;
  return count;
}

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      ++failures();                                                       \
    }                                                                     \
  } while (0)

inline bool near(double a, double b, double tolerance) {
  return std::fabs(a - b) <= tolerance || (std::isnan(a) && std::isnan(b));
}

inline int report() {
  if (failures()) std::printf("%d checks failed\n", failures());
  return failures() ? 1 : 0;
}
