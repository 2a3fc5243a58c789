// What uses a driver as a program would: it opens the device, does its work with it and closes it again. What the driver refuses first is remembered.
#pragma once
#include <cstdint>
#include <string>

namespace kdpc::io {
struct File;
}

namespace kdpc::tool {

struct Application {
  std::string opens;  // what it is to open

  // Written inside, read on the host.
  std::uint32_t thread = 0;
  std::int32_t status = 0;          // the first that was not success
  const char* failed_at = nullptr;  // what was refused
  bool is_cancelled() const;        // by that status

  // In a thread at Passive. It may be left for ever at any wait, so nothing in here owns anything of the host's.
  void run();

 protected:
  ~Application() = default;
  bool refuse(const char* what, std::int32_t its_status);  // false

 private:
  virtual void use(io::File& file) = 0;
};

}  // namespace kdpc::tool
