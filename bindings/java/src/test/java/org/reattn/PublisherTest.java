package org.reattn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Flow;
import org.junit.jupiter.api.Test;
import org.reactivestreams.tck.TestEnvironment;
import org.reactivestreams.tck.flow.FlowPublisherVerification;
import org.testng.TestListenerAdapter;
import org.testng.TestNG;

/** The publisher by the rules of Reactive Streams: their own test kit, which is TestNG's. */
class PublisherTest {
  /** Not run by itself: TestNG makes it. */
  public static final class Verification extends FlowPublisherVerification<GenerationEvent> {
    private static final int WAIT_MS = 10_000; // three of the rules last as long
    private static final int COLLECTION_MS = 5_000; // slept through
    private static final int QUIET_MS = 100;

    private final Model model = Tiny.open();
    private final List<Handle> made = new ArrayList<>();

    public Verification() {
      super(new TestEnvironment(WAIT_MS, QUIET_MS), COLLECTION_MS);
    }

    /** One event for what is read, one for each token, and the last one. */
    @Override
    public Flow.Publisher<GenerationEvent> createFlowPublisher(long elements) {
      Session session = Tiny.session(model);
      session.append("Tea");
      if (elements == 1) session.read();
      Generation generation = session.generate(Tiny.tokens(Math.max(0, elements - 2)));
      made.add(generation);
      made.add(session);
      return generation.publisher();
    }

    /** None: what fails, fails when it is pulled. */
    @Override
    public Flow.Publisher<GenerationEvent> createFailedFlowPublisher() {
      return null;
    }

    @Override
    public long maxElementsFromPublisher() {
      return 100_000;
    }
  }

  @Test
  void byTheRules() {
    TestListenerAdapter results = new TestListenerAdapter();
    TestNG kit = new TestNG(false);
    kit.setTestClasses(new Class<?>[] {Verification.class});
    kit.addListener(results);
    kit.setVerbose(0);
    kit.run();
    List<String> failed = new ArrayList<>();
    results.getFailedTests().forEach(each ->
        failed.add(each.getName() + ": " + each.getThrowable()));
    assertEquals(List.of(), failed);
    assertTrue(results.getPassedTests().size() >= 20,
        results.getPassedTests().size() + " passed, skipped: " + results.getSkippedTests());
  }
}
