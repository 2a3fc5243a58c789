// A source tree as it comes from another system is compiled as it is, and what it does is what it does there.
//
// In it: names of headers and folders in any case, paths with backslashes, .C and .MC in capitals, resources among the sources, generated trace
// headers with macros declared in comments, a message file, names of newer kits, tokens pasted to a dot, enumerations declared in advance, constants
// with the suffixes of Microsoft's compiler, a part in C++, 32-bit long, 16-bit wide characters, tags of four characters.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/obstacles/tree/inc/Shared/Types.h"

namespace kdpc {
namespace {

KDPC_TEST(Obstacles, ATreeFromAnotherSystemCompilesAndRuns) {
  std::string why;
  ASSERT_TRUE(m.load_driver(OLDTREE, why)) << why;
  static OLDTREE_ANSWER answer;
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\\\.\\OldTree"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.control(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS), nullptr, 0, &answer, sizeof answer).status,
                   STATUS_SUCCESS);
    file.close();
  });
  EXPECT_EQ(answer.LongIsFourBytes, 1u);
  EXPECT_EQ(answer.WideIsTwoBytes, 1u);
  EXPECT_EQ(answer.Tag, 0x65657254u);  // "Tree", as it lies in memory
  EXPECT_EQ(answer.Pool, 9u);
  EXPECT_EQ(answer.Message, 0xC0090005u);
  EXPECT_EQ(answer.Worker, 42u);
  EXPECT_TRUE(m.unload_driver("oldtree", why)) << why;
  EXPECT_TRUE(m.debug_lines().empty());
}

}  // namespace
}  // namespace kdpc
