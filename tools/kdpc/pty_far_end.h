// The far end of a serial line on the other side of a pseudo terminal of Linux: a thread of the host's that writes a file into the terminal, and keeps what comes
// out of it. The machine has the terminal's other side (kdpc/cards.h: SerialPortWish::descriptor).
#pragma once
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace kdpc::tool {

class PtyFarEnd {
 public:
  static Result<std::unique_ptr<PtyFarEnd>> make();
  ~PtyFarEnd();
  PtyFarEnd(const PtyFarEnd&) = delete;
  PtyFarEnd& operator=(const PtyFarEnd&) = delete;

  int machines_side() const { return machines_side_; }
  const std::string& name() const { return name_; }  // /dev/pts/7
  // Once. The text stays where it is. As fast as the terminal takes it: that holds some 4 KB, and the writer waits for the rest.
  void begin(std::string_view to_write);
  // What has come, when it is as much as that, or when nothing more has come for a second.
  std::string heard(std::size_t expected);

 private:
  PtyFarEnd() = default;
  void work();

  int machines_side_ = -1, side_ = -1, end_event_ = -1;
  std::string name_;
  std::string_view to_write_;
  std::mutex lock_;
  std::condition_variable more_;
  std::string heard_;
  std::thread thread_;
};

}  // namespace kdpc::tool
