package org.reattn.service;

/** Starts the service from a command line. */
public final class Main {
  private Main() {}

  /** See {@link ServiceOptions#USAGE}. */
  public static void main(String[] args) {
    ServiceOptions options;
    try {
      options = ServiceOptions.parse(args, System.getenv("REATTN_SERVICE_KEY"));
    } catch (IllegalArgumentException wrong) {
      System.err.println(wrong.getMessage() + "\n" + ServiceOptions.USAGE);
      System.exit(2);
      return;
    }
    try {
      Service service = new Service(options);
      Runtime.getRuntime().addShutdownHook(new Thread(service::close));
      System.out.println("listening on http://" + options.hostName() + ":" + service.port());
    } catch (Exception failure) {
      System.err.println("the service cannot start: " + failure.getMessage());
      System.exit(1);
    }
  }
}
