// The example driver hello, and what it says of itself.
#pragma once
#include <wdm.h>

#include <string>

#include "examples/drivers/hello/hello.h"
#include "kdpc/test.h"

namespace kdpc::test {

inline const std::string kHello = std::string(KDPC_TEST_DRIVERS) + "/hello.drv";

inline HELLO_COUNTS counts_of(lab::Machine& m) {
  HELLO_COUNTS counts = {};
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\\\.\\Hello"), STATUS_SUCCESS);
    if (!file.is_open()) return;
    const lab::IoResult result = file.read(&counts, sizeof counts);
    KDPC_EXPECT_EQ(result.status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(result.information, sizeof counts);
    file.close();
  });
  return counts;
}

}  // namespace kdpc::test
