// A server without Python that sends every request back. It shows the least time that gRPC takes.

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <iostream>

namespace {

class EchoReactor : public grpc::ServerGenericBidiReactor {
   public:
    EchoReactor() { StartRead(&body_); }
    void OnReadDone(bool ok) override {
        if (ok) {
            StartWriteAndFinish(&body_, grpc::WriteOptions(), grpc::Status::OK);
        } else {
            Finish(grpc::Status::OK);
        }
    }
    void OnDone() override { delete this; }

   private:
    grpc::ByteBuffer body_;
};

class EchoService : public grpc::CallbackGenericService {
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
        return new EchoReactor;
    }
};

}  // namespace

int main() {
    EchoService service;
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service);
    const auto server = builder.BuildAndStart();
    std::cout << "listening on 127.0.0.1:" << port << std::endl;
    server->Wait();
}
