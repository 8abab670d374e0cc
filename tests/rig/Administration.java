import java.util.Collection;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;

import org.infinispan.client.hotrod.RemoteCache;
import org.infinispan.client.hotrod.RemoteCacheManager;
import org.infinispan.client.hotrod.RemoteCacheManagerAdmin;
import org.infinispan.client.hotrod.RemoteSchemasAdmin;
import org.infinispan.client.hotrod.RemoteSchemasAdmin.SchemaOpResult;
import org.infinispan.client.hotrod.configuration.ConfigurationBuilder;
import org.infinispan.commons.api.CacheContainerAdmin.AdminFlag;
import org.infinispan.commons.configuration.StringConfiguration;
import org.infinispan.protostream.schema.Schema;

/**
 * Calls every administrative operation of the Java client on a server, and writes a line for each result. Two servers
 * that behave the same yield the same transcript.
 *
 * <p>Argument: port. There must be no caches, templates or schemas whose names begin with "admin".
 */
public final class Administration {
   private static final String SHIP = "package admin; /* @Indexed */ message Ship { /* @Basic */ optional string name = 1; }";
   private static final String SHIPS = "package admin; /* @Indexed */ message Ship { /* @Basic */ optional string name = 1; optional int32 length = 2; }";

   private final RemoteCacheManager manager;
   private final RemoteCacheManagerAdmin admin;

   private Administration(RemoteCacheManager manager) {
      this.manager = manager;
      this.admin = manager.administration();
   }

   public static void main(String[] arguments) {
      ConfigurationBuilder builder = new ConfigurationBuilder();
      builder.addServer().host("127.0.0.1").port(Integer.parseInt(arguments[0]));
      builder.socketTimeout(15_000).connectionTimeout(15_000).maxRetries(0);
      try (RemoteCacheManager manager = new RemoteCacheManager(builder.build())) {
         Administration asks = new Administration(manager);
         asks.caches();
         asks.attributes();
         asks.aliases();
         asks.templates();
         asks.schemas();
         asks.indexes();
      }
      System.out.flush();
      System.exit(0);
   }

   private void caches() {
      step("create", () -> create("admin-a", "<distributed-cache mode=\"SYNC\"><encoding media-type=\"text/plain\"/></distributed-cache>"));
      step("create again", () -> create("admin-a", "<local-cache/>"));
      step("create one that goes with the server", () -> admin.withFlags(AdminFlag.VOLATILE)
            .createCache("admin-volatile", configuration("<local-cache statistics=\"true\"/>")).getName());
      step("create without a configuration", () -> admin.createCache("admin-plain", (String) null).getName());
      step("create under the name of another in its configuration", () -> create("admin-b", "<local-cache name=\"admin-c\"/>"));
      step("create from a configuration for caches", () -> create("admin-c",
            "<distributed-cache-configuration name=\"admin-c\" owners=\"3\" mode=\"SYNC\"/>"));
      step("create in YAML", () -> create("admin-yaml", "replicatedCache:\n  mode: SYNC\n"));
      step("an entry that lives for no time", () -> {
         RemoteCache<String, String> cache = admin.createCache("admin-never",
               configuration("{\"local-cache\":{\"expiration\":{\"lifespan\":0},\"encoding\":{\"media-type\":\"application/x-protostream\"}}}"));
         cache.put("a", "1");
         return String.valueOf(cache.get("a"));
      });
      step("an entry that may not be idle", () -> {
         RemoteCache<String, String> cache = admin.createCache("admin-idle",
               configuration("{\"local-cache\":{\"expiration\":{\"max-idle\":\"0\"},\"encoding\":{\"media-type\":\"application/x-protostream\"}}}"));
         cache.put("a", "1");
         return String.valueOf(cache.get("a"));
      });
      step("an entry that lives for less than no time", () -> {
         RemoteCache<String, String> cache = admin.createCache("admin-ever",
               configuration("{\"local-cache\":{\"expiration\":{\"lifespan\":\"-5\"},\"encoding\":{\"media-type\":\"application/x-protostream\"}}}"));
         cache.put("a", "1");
         return String.valueOf(cache.get("a"));
      });
      step("get or create with another configuration", () -> admin.getOrCreateCache("admin-a", configuration("<local-cache/>")).getName());
      step("get or create and update", () -> admin.withFlags(AdminFlag.UPDATE).getOrCreateCache("admin-a", configuration(
            "<distributed-cache mode=\"SYNC\" remote-timeout=\"20000\"><encoding media-type=\"text/plain\"/></distributed-cache>")).getName());
      step("names", this::names);
      step("remove", () -> {
         admin.removeCache("admin-b");
         admin.removeCache("admin-nothing");
         return names();
      });
   }

   private void attributes() {
      create("admin-attributes", "<distributed-cache mode=\"SYNC\" statistics=\"true\"><encoding media-type=\"application/x-protostream\"/>"
            + "<memory max-count=\"100\" when-full=\"REMOVE\"/><expiration lifespan=\"5000\" max-idle=\"3000\"/></distributed-cache>");
      for (String[] change : new String[][] {
            {"expiration.lifespan", "7s"}, {"expiration.lifespan", "8000"}, {"expiration.lifespan", "-1"}, {"expiration.lifespan", "0"},
            {"expiration.max-idle", "0"}, {"expiration.interval", "0"}, {"expiration.interval", "-1"},
            {"memory.max-count", "200"}, {"jmx-statistics.statistics", "true"}, {"clustering.remote-timeout", "1s"},
            {"expiration.lifespan", "soon"}, {"jmx-statistics.statistics", "maybe"}, {"indexing.startup-mode", "bogus"},
            {"clustering.hash.owners", "1"}, {"memory.when-full", "EXCEPTION"}, {"memory.storage", "HEAP"}, {"simple-cache", "true"},
            {"bogus", "1"}, {"expiration.bogus", "1"}, {"bogus.bogus", "1"}}) {
         step("set " + change[0] + " to " + change[1], () -> {
            admin.updateConfigurationAttribute("admin-attributes", change[0], change[1]);
            return "done";
         });
      }
      step("set an attribute of nothing", () -> {
         admin.updateConfigurationAttribute("admin-nothing", "expiration.lifespan", "1");
         return "done";
      });
   }

   private void aliases() {
      create("admin-first", "<distributed-cache mode=\"SYNC\" aliases=\"admin-alias\"><encoding media-type=\"application/x-protostream\"/></distributed-cache>");
      create("admin-second", "<distributed-cache mode=\"SYNC\"><encoding media-type=\"application/x-protostream\"/></distributed-cache>");
      manager.getCache("admin-first").put("a", "first");
      manager.getCache("admin-second").put("a", "second");
      step("an alias", () -> manager.getCache("admin-alias").get("a"));
      step("move an alias", () -> {
         admin.assignAlias("admin-alias", "admin-second");
         return manager.getCache("admin-alias").get("a");
      });
      step("move it again", () -> {
         admin.assignAlias("admin-alias", "admin-second");
         return manager.getCache("admin-alias").get("a");
      });
      step("a new alias", () -> {
         admin.assignAlias("admin-new", "admin-first");
         return manager.getCache("admin-new").get("a");
      });
      step("aliases by an attribute", () -> {
         admin.updateConfigurationAttribute("admin-first", "aliases", "admin-x admin-y");
         return manager.getCache("admin-y").get("a");
      });
      step("an alias of nothing", () -> {
         admin.assignAlias("admin-alias", "admin-nothing");
         return "done";
      });
      step("the name of a cache as an alias by an attribute", () -> {
         admin.updateConfigurationAttribute("admin-first", "aliases", "admin-second");
         return "done";
      });
      step("names", this::names);
   }

   private void templates() {
      step("create a template", () -> template("admin-template", "<distributed-cache mode=\"SYNC\" owners=\"3\" statistics=\"true\"/>"));
      step("create it again", () -> template("admin-template", "<local-cache/>"));
      step("create a template in JSON", () -> template("admin-json", "{\"local-cache\":{\"statistics\":true}}"));
      step("create a template of nonsense", () -> template("admin-nonsense", "<distributed-cache owner=\"1\"/>"));
      step("a cache from a template", () -> admin.createCache("admin-from-template", "admin-template").getName());
      step("a cache under the name of a template", () -> create("admin-json", "<local-cache/>"));
      step("a template under the name of a cache", () -> template("admin-a", "<local-cache/>"));
      step("remove a template", () -> {
         admin.removeTemplate("admin-template");
         admin.removeTemplate("admin-nothing");
         return "done";
      });
      step("a cache from a removed template", () -> admin.createCache("admin-late", "admin-template").getName());
      step("the cache that was made from it", () -> manager.getCache("admin-from-template").getName());
   }

   private void schemas() {
      RemoteSchemasAdmin schemas = admin.schemas();
      step("no schema", () -> schemas.get("admin.proto").isPresent());
      step("create a schema", () -> result(schemas.create(schema(SHIP))));
      step("create it again", () -> result(schemas.create(schema(SHIPS))));
      step("update it to what it is", () -> result(schemas.update(schema(SHIP))));
      step("update it", () -> result(schemas.update(schema(SHIPS))));
      step("the schema", () -> schemas.get("admin.proto").map(Schema::getContent).orElse("none"));
      step("exists", () -> schemas.exists("admin.proto"));
      step("its error", () -> schemas.retrieveError("admin.proto"));
      step("all errors", () -> schemas.retrieveAllSchemaErrors().isEmpty());
      step("update what is not there", () -> result(schemas.update(Schema.buildFromStringContent("admin-2.proto", SHIP.replace("package admin", "package admin2")))));
      step("create or update what is not there", () -> result(schemas.createOrUpdate(Schema.buildFromStringContent("admin-2.proto", SHIP.replace("package admin", "package admin2")))));
      step("a name that is none", () -> result(schemas.createOrUpdate(Schema.buildFromStringContent("admin", SHIP.replace("package admin", "package admin3")))));
      step("in the cache of schemas", () -> manager.getCache("___protobuf_metadata").get("admin.proto"));
      step("remove", () -> result(schemas.remove("admin-2.proto")));
      step("remove it again", () -> result(schemas.remove("admin-2.proto")));
   }

   private void indexes() {
      step("index again without an index", () -> {
         admin.reindexCache("admin-a");
         return "done";
      });
      step("index nothing again", () -> {
         admin.reindexCache("admin-nothing");
         return "done";
      });
      step("another schema for no index", () -> {
         admin.updateIndexSchema("admin-a");
         return "done";
      });
      step("another schema for the index of nothing", () -> {
         admin.updateIndexSchema("admin-nothing");
         return "done";
      });
      step("an indexed cache", () -> create("admin-indexed", "{\"distributed-cache\":{\"mode\":\"SYNC\",\"encoding\":{\"media-type\":"
            + "\"application/x-protostream\"},\"indexing\":{\"storage\":\"local-heap\",\"indexed-entities\":[\"admin.Ship\"]}}}"));
      step("index again", () -> {
         admin.reindexCache("admin-indexed");
         return "done";
      });
      step("another schema for the index", () -> {
         admin.updateIndexSchema("admin-indexed");
         return "done";
      });
   }

   private String create(String name, String configuration) {
      return admin.createCache(name, configuration(configuration)).getName();
   }

   private String template(String name, String configuration) {
      admin.createTemplate(name, configuration(configuration));
      return "done";
   }

   private static Schema schema(String content) {
      return Schema.buildFromStringContent("admin.proto", content);
   }

   private static String result(SchemaOpResult result) {
      return result.getType() + (result.hasError() ? " " + result.getError() : "");
   }

   private static StringConfiguration configuration(String text) {
      return new StringConfiguration(text);
   }

   private Collection<String> names() {
      return manager.getCacheNames().stream().filter(name -> name.startsWith("admin")).collect(Collectors.toCollection(TreeSet::new));
   }

   private void step(String name, Callable<Object> asked) {
      String outcome;
      try {
         outcome = String.valueOf(asked.call());
      } catch (Throwable thrown) {
         Throwable cause = thrown;
         while ((cause instanceof ExecutionException || cause instanceof CompletionException) && cause.getCause() != null) {
            cause = cause.getCause();
         }
         // The server's stack trace follows.
         outcome = "! " + String.valueOf(cause.getMessage()).lines().findFirst().orElse("").replaceAll("messageId=\\d+", "messageId=?");
      }
      System.out.println(name + " -> " + outcome);
   }
}
