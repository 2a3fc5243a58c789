#include "tools/kdpc/application.h"

#include "io/requests.h"
#include "this_machine.h"

namespace kdpc::tool {

bool Application::refuse(const char* what, std::int32_t its_status) {
  if (failed_at == nullptr) {
    failed_at = what;
    status = its_status;
  }
  return false;
}

bool Application::is_cancelled() const { return status == STATUS_CANCELLED; }

void Application::run() {
  thread = thread::current().id;
  io::Name name{std::string_view(opens)};
  io::File* file = nullptr;
  if (const NTSTATUS opened = io::requests::open(name.view(), file); !NT_SUCCESS(opened)) {
    refuse("to be opened", opened);
    return;
  }
  use(*file);
  io::requests::close(file);
}

}  // namespace kdpc::tool
