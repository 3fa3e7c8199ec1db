package main

import (
	"net"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/metrics-server/pkg/api"
	definitions "sigs.k8s.io/metrics-server/pkg/api/generated/openapi"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/server"
)

// How often kubelets are asked, the least metrics-server takes.
const metricsEvery = 10 * time.Second

// metricsServer is metrics-server with the few options a cluster on one machine needs. Its own command is of an
// older Kubernetes, of which all would have to be compiled once more.
func metricsServer() *cobra.Command {
	var kubeconfig string
	serving := options.NewSecureServingOptions().WithLoopback()
	authentication, authorization := options.NewDelegatingAuthenticationOptions(), options.NewDelegatingAuthorizationOptions()
	command := &cobra.Command{
		Use:          "metrics-server",
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			account, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			authentication.RemoteKubeConfigFile, authorization.RemoteKubeConfigFile = kubeconfig, kubeconfig
			apiserver, err := metricsAPI(serving, authentication, authorization)
			if err != nil {
				return err
			}
			metrics, err := (&server.Config{
				Apiserver:        apiserver,
				Rest:             account,
				Kubelet:          kubelets(account),
				MetricResolution: metricsEvery,
				ScrapeTimeout:    metricsEvery / 2,
			}).Complete()
			if err != nil {
				return err
			}
			return metrics.RunUntil(genericapiserver.SetupSignalHandler())
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the account it works as")
	serving.AddFlags(command.Flags())
	return command
}

func metricsAPI(
	serving *options.SecureServingOptionsWithLoopback,
	authentication *options.DelegatingAuthenticationOptions,
	authorization *options.DelegatingAuthorizationOptions,
) (*genericapiserver.Config, error) {
	if err := serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, err
	}
	config := genericapiserver.NewConfig(api.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	if err := serving.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return nil, err
	}
	if err := authentication.ApplyTo(&config.Authentication, config.SecureServing, nil); err != nil {
		return nil, err
	}
	if err := authorization.ApplyTo(&config.Authorization); err != nil {
		return nil, err
	}
	namer := openapi.NewDefinitionNamer(api.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions.GetOpenAPIDefinitions, namer)
	return config, nil
}

// The kubelets' certificates are of the same authority as the API server's.
func kubelets(account *rest.Config) *client.KubeletClientConfig {
	return &client.KubeletClientConfig{
		Client:              *account,
		AddressTypePriority: []corev1.NodeAddressType{corev1.NodeInternalIP},
		Scheme:              "https",
		DefaultPort:         10250,
	}
}
